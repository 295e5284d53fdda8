"""Bodies of HTTP that are read as they come, and as text: what a server says about them is data of others."""

import codecs
from collections.abc import Mapping
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

ACCEPTED: Final = "identity"
"""What requests accept, as the header Accept-Encoding has it: no packing, whose every layer may make a body a thousand
times as large."""
UTF_8: Final = "utf_8"
CHARSETS: Final = frozenset(
    {
        *(UTF_8, "utf_16", "utf_16_be", "utf_16_le", "ascii", "latin_1"),
        *(f"iso8859_{part}" for part in range(2, 17) if part != 12),
        *(f"cp{page}" for page in (437, 850, 866, 874, 932, 949, *range(1250, 1259))),
        *("koi8_r", "koi8_u", "mac_roman"),
        *("shift_jis", "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr"),
    }
)
"""Codecs whose work is in proportion to the body. Python has others, `punycode` for one, which it would take for hours.
"""
LONGEST_TYPE: Final = 200
CHUNK_BYTES: Final = 1 << 14


def packing(headers: Mapping[str, str]) -> str:
    """How a body is packed although its request did not accept that; empty if it is not."""
    found = headers.get("content-encoding", ACCEPTED).strip().lower()
    return "" if found in ("", ACCEPTED) else found[:100]


def charset(headers: Mapping[str, str]) -> str:
    """The codec for a body: what the server names if it is of `CHARSETS`, otherwise UTF-8."""
    for part in headers.get("content-type", "")[:LONGEST_TYPE].split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            # Python keeps each unknown name that it is asked to look up for good.
            label = normalize_encoding(value.strip(" \t\"'")).lower()
            codec = aliases.get(label, label)
            return codec if codec in CHARSETS else UTF_8
    return UTF_8


def decoded(body: bytes, codec: str) -> str:
    """The body as text, with U+FFFD for what the codec cannot read.

    Meant for a thread: other threads get their turn between chunks, of which the slowest codecs read 2 MB a second.
    """
    if codec == "utf_16" and not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # The codec takes such a body as a whole only, and then like this.
        codec = "utf_16_le"
    chunks = (body[begin : begin + CHUNK_BYTES] for begin in range(0, len(body), CHUNK_BYTES))
    return "".join(codecs.iterdecode(chunks, codec, "replace"))

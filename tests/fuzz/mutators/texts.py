"""Texts that others write: pieces that have made trouble, and changes to any text."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

PIECES: Final = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\x1b[31m",
        "\x1b]8;;",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "\u202e",
    ),
    *(
        "\ud800",
        "\udfff",
        "\udc80",
        "\U0001f600",
        "\u0301",
        "\uff11",
        "\u0661",
        "é",
        "ß",
        "İ",
        "\u200b",
        "\u00a0",
    ),
    *(
        "0",
        "-1",
        "1e309",
        "-0",
        "NaN",
        "Infinity",
        "1" * 25,
        "9" * 400,
        "0x1",
        "1_000",
        "\u0967",
        "\uff11",
        "²",
    ),
    *(
        "'",
        '"',
        "`",
        "```",
        "\\",
        "/",
        "//",
        "..",
        "../",
        "~",
        "*",
        "**",
        "?",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "<",
        ">",
    ),
    *(
        "|",
        "&",
        "%",
        "%00",
        "%2e%2e",
        "$",
        "${",
        "$${",
        "#",
        "@",
        ":",
        ";",
        ",",
        ".",
        "-",
        "_",
        "+",
        "=",
        "!",
        "^",
    ),
    *(
        "null",
        "true",
        "false",
        "None",
        "[]",
        "{}",
        "<script>",
        "<!--",
        "javascript:",
        "![",
        "](",
        "&lt;",
        "&#60;",
    ),
    *("file://", "http://", "https://", "localhost", "127.0.0.1", "::1", "[::]", "%25", "a" * 300),
)


def change_text(text: str, random: Random, other: str, pieces: Sequence[str] = PIECES) -> str:
    """The text with one change."""
    change: Callable[[str, Random, str, Sequence[str]], str] = random.choice(_CHANGES)
    return change(text, random, other, pieces)[:_LONGEST]


_LONGEST: Final = 20_000


def _insert(text: str, random: Random, _other: str, pieces: Sequence[str]) -> str:
    at = random.randint(0, len(text))
    return text[:at] + random.choice(pieces) + text[at:]


def _delete(text: str, random: Random, _other: str, _pieces: Sequence[str]) -> str:
    begin, end = _part(text, random)
    return text[:begin] + text[end:]


def _replace(text: str, random: Random, _other: str, pieces: Sequence[str]) -> str:
    begin, end = _part(text, random)
    return text[:begin] + random.choice(pieces) + text[end:]


def _repeat(text: str, random: Random, _other: str, _pieces: Sequence[str]) -> str:
    begin, end = _part(text, random)
    return text[:end] + text[begin:end] * random.choice((1, 1, 2, 10, 60)) + text[end:]


def _splice(text: str, random: Random, other: str, _pieces: Sequence[str]) -> str:
    begin, end = _part(other, random)
    at = random.randint(0, len(text))
    return text[:at] + other[begin:end] + text[at:]


def _cross(text: str, random: Random, other: str, _pieces: Sequence[str]) -> str:
    return text[: random.randint(0, len(text))] + other[random.randint(0, len(other)) :]


def _one_character(text: str, random: Random, _other: str, _pieces: Sequence[str]) -> str:
    if not text:
        return chr(random.randrange(0x110000))
    at = random.randrange(len(text))
    wide = (0x80, 0x80, 0x80, 0x250, 0x3000, 0x110000)
    return text[:at] + chr(random.randrange(random.choice(wide))) + text[at + 1 :]


def _wrap(text: str, random: Random, _other: str, pieces: Sequence[str]) -> str:
    begin, end = _part(text, random)
    left, right = random.choice(
        (("(", ")"), ("[", "]"), ("{", "}"), ('"', '"'), ("'", "'"), ("<", ">"), ("`", "`"))
    )
    times = random.choice((1, 1, 1, 2, 70))
    return text[:begin] + left * times + text[begin:end] + right * times + text[end:]


def _part(text: str, random: Random) -> tuple[int, int]:
    begin = random.randint(0, len(text))
    return begin, min(len(text), begin + random.choice((0, 1, 1, 2, 4, 8, 40, 400)))


_CHANGES: Final = (
    _insert,
    _insert,
    _delete,
    _delete,
    _replace,
    _replace,
    _repeat,
    _splice,
    _splice,
    _cross,
    _one_character,
    _one_character,
    _wrap,
)


def dump_text(text: str) -> bytes:
    """A text as a file of the corpus, halves of characters included."""
    return text.encode("utf-8", "surrogatepass")


def load_text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")

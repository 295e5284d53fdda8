"""Text of others, made safe to show: it controls no terminal, forges no line, and hides nothing from who reads it."""

import re
from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""They join letters and emoji, and move nothing."""
_SPACES: Final = "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000"
_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_MAYBE_HIDDEN: Final = re.compile(r"[^\x00-\x7e]")


def printable(text: str) -> str:
    """The text with everything escaped but what is shown, line feeds and tabs: control characters, directions of
    writing, line ends of other kinds, halves of characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in "\n\t" or _is_shown(char) else _escaped(char) for char in text)


def one_line(text: str) -> str:
    """As `printable`, on one line: nothing in the text can look like a line of its own."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_shown(char) else _SHORT.get(char) or _escaped(char) for char in text)


def indented(text: str, indent: str = "  ") -> str:
    """As `printable`, with the lines after the first below it."""
    return printable(text).replace("\n", f"\n{indent}")


def json_safe(encoded: str) -> str:
    """JSON with the same content, in which every character is shown or escaped: outside of its strings it is ASCII."""
    if encoded.isascii():
        return encoded.replace("\x7f", "\\u007f")
    return _MAYBE_HIDDEN.sub(lambda found: _in_json(found[0]), encoded)


def _is_shown(char: str) -> bool:
    # Spaces of other widths are not printable to Python.
    return char.isprintable() or char in _JOINERS or char in _SPACES


def _escaped(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _in_json(char: str) -> str:
    if _is_shown(char):
        return char
    number = ord(char)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"

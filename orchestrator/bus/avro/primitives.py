"""Avro's primitive types, as far as compiled code does not inline them.

Source: Apache Avro 1.12 specification, "Binary encoding": integers are zigzag coded, seven bits per byte, the
lowest first; arrays and maps are blocks of a count and items, with a size between if the count is negative.
"""

import struct
from functools import lru_cache
from typing import Any, Final

PackError = struct.error

_LAST_SHIFT: Final = 63
_TOO_LONG: Final = 1 << 64

# Times in microseconds of the years 1978 to 3111 take eight bytes and are in every message: their 56 bits are
# spread to seven bits per byte by halves, which costs half of what a loop over the bytes does.
_EIGHT_BYTES: Final = 1 << 48
_NINE_BYTES: Final = 1 << 55
_EIGHT_CONTINUED: Final = 0x0080808080808080


def _spread(word: int) -> int:
    word = word & 0x000000000FFFFFFF | (word & 0x00FFFFFFF0000000) << 4
    word = word & 0x00003FFF00003FFF | (word & 0x0FFFC0000FFFC000) << 2
    return word & 0x007F007F007F007F | (word & 0x3F803F803F803F80) << 1 | _EIGHT_CONTINUED


def _coded(zigzag: int) -> bytes:
    coded = bytearray()
    while zigzag > 127:
        coded.append(zigzag & 127 | 128)
        zigzag >>= 7
    coded.append(zigzag)
    return bytes(coded)


SMALL: Final = tuple(_coded(number << 1) for number in range(1 << 13))
"""Codes of the numbers from 0 that take at most two bytes: lengths, counts, revisions."""


# The messages of one transaction name the same few times again and again.
@lru_cache(maxsize=4_096, typed=True)
def write_long(number: int) -> bytes:
    if _EIGHT_BYTES <= number < _NINE_BYTES:
        return _spread(number << 1).to_bytes(8, "little")
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{number} does not fit in 64 bits")
    return _coded(number << 1 ^ number >> 63)


def write_int(number: int) -> bytes:
    if not -(1 << 31) <= number < 1 << 31:
        raise OverflowError(f"{number} does not fit in 32 bits")
    return _coded(number << 1 ^ number >> 31)


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The number at an offset and the offset behind it. Raises `IndexError` where the bytes end."""
    byte = data[at]
    zigzag = byte & 127
    shift = 0
    while byte > 127:
        at += 1
        shift += 7
        byte = data[at]
        zigzag |= (byte & 127) << shift
        if shift > _LAST_SHIFT:
            raise ValueError("a number is longer than ten bytes")
    if zigzag >= _TOO_LONG:
        raise ValueError("a number does not fit in 64 bits")
    return zigzag >> 1 ^ -(zigzag & 1), at + 1


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """As `read_long`, for a number of 32 bits."""
    number, at = read_long(data, at)
    if not -(1 << 31) <= number < 1 << 31:
        raise ValueError(f"{number} does not fit in 32 bits")
    return number, at


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """As `read_long`, for a number that must not be negative."""
    length, at = read_long(data, at)
    if length < 0:
        raise ValueError("a length is negative")
    return length, at


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """How many items the next block has; 0 ends the items."""
    count, at = read_long(data, at)
    if count < 0:
        _, at = read_length(data, at)
        return -count, at
    return count, at


_DOUBLE: Final = struct.Struct("<d")

NAMES: Final[dict[str, Any]] = {
    "SMALL": SMALL,
    "BOOLEAN_CODES": {False: b"\x00", True: b"\x01"},
    "BOOLEANS": (False, True),
    "long": write_long,
    "int": write_int,
    "read_long": read_long,
    "read_int": read_int,
    "read_length": read_length,
    "read_count": read_count,
    "pack_double": _DOUBLE.pack,
    "unpack_double": _DOUBLE.unpack_from,
}
"""What the compiled source calls."""

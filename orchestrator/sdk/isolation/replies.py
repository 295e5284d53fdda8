"""Reading what a run replied: bounded before anything is made of it, since three bytes may become seventy."""

import re
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from orchestrator.sdk.isolation.frames import FrameError
from orchestrator.sdk.result_bounds import ISOLATED

T = TypeVar("T")

MOST_VALUES: Final = ISOLATED.values
"""Items of lists and entries of objects in a reply, at all depths together: as many as in what any tool returns."""
_SURPLUS: Final = 100
"""Values of a reply around what the function returned."""
_LARGE: Final = 1 << 20
"""Bytes from which on a reply is read alone: what is made of it may take a hundred times as much memory as it."""
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A text in JSON; one that does not end is read once, and not from each of its quotes again."""

_alone: Final = threading.Lock()


class TooManyValuesError(Exception):
    """A reply with more than `MOST_VALUES`."""


def read(text: bytes | bytearray, make: Callable[[Any], T]) -> T:
    """What `make` makes of the JSON text of a reply. One large reply is read at a time in this process.

    Blocks: for the thread of a run. Raises `TooManyValuesError`, and `FrameError` for what is no JSON.
    """
    if len(text) <= _LARGE:
        return _read(text, make)
    with _alone:
        return _read(text, make)


def _read(text: bytes | bytearray, make: Callable[[Any], T]) -> T:
    if has_more_values(text, MOST_VALUES + _SURPLUS):
        raise TooManyValuesError
    try:
        return make(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {type(error).__name__}") from error


def has_more_values(text: bytes | bytearray, most: int) -> bool:
    """Whether a JSON text holds more than so many values. Counts bytes, and makes nothing of them.

    A list or an object that is not empty has one more value than commas. What is in texts counts for none of that:
    it is taken off again, text by text, until it is known that there are not too many.
    """
    if len(text) // 2 < most:
        # Every value takes two bytes at least.
        return False
    found = _separators(text)
    if found <= most:
        return False
    for texts, one in enumerate(_TEXT.finditer(text)):
        if texts > 2 * most:
            # Each of them is a value or its name.
            return True
        start, end = one.span()
        if end - start > 2:
            found -= _separators(text, start, end)
            if found <= most:
                return False
    return True


def _separators(text: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
    """Values in a part of a JSON text, if none of it is a text."""
    many, empty = (b",", b"[", b"{"), (b"[]", b"{}")
    return sum(text.count(one, start, end) for one in many) - sum(
        text.count(one, start, end) for one in empty
    )

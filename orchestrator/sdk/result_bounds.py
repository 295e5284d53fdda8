"""How much a tool may return: counted before anything is made of it, so that a large result costs nothing."""

import dataclasses
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import pydantic

from orchestrator.messages.values import not_finite, not_finite_text


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The most that a result may have, at all depths together. What is in it twice counts twice, as in its JSON."""

    values: int = 1_000_000
    """Items of lists and entries of objects. As JSON data they take some 100 MB of memory."""
    characters: int = 64_000_000
    """Characters of texts and names, and bytes of binary data."""


ISOLATED: Final = Bounds(characters=sys.maxsize)
"""In a process of its own: how much text it may return, its limit of output says."""


_LESS: Final = "return less, such as a page or a summary"


class TooLargeError(Exception):
    """A result beyond its bounds. The text says which, and what to do."""


class Measure:
    """Counts what is in a result. Raises `TooLargeError` beyond the bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._values = bounds.values
        self._characters = bounds.characters
        self._bounds = bounds

    def count(self, values: int) -> None:
        self._values -= values
        if self._values < 0:
            raise TooLargeError(more_values(self._bounds.values))

    def read(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise TooLargeError(
                f"it has more than {self._bounds.characters:,} characters of text: {_LESS}, or declare the tool with "
                "`isolation`, whose `output` is a limit of its own"
            )


def more_values(most: int) -> str:
    """Says that a result has too many values, and what to do."""
    return f"it has more than {most:,} values: {_LESS}"


@dataclasses.dataclass
class Survey:
    """What was found in a result."""

    needs_copy: bool = False
    """It has iterators, or keys that are no text; what is behind the first of them was not looked at."""
    has_models: bool = False
    """It has objects that may write themselves in a way of their own."""


SCALARS: Final = frozenset({str, int, float, bool, type(None), bytes})
_TEXTS: Final = (str, bytes, bytearray, memoryview)
_LISTS: Final = (list, tuple, set, frozenset, deque)


def survey(result: Any, bounds: Bounds) -> Survey:
    """Walks through a result without copying it.

    Raises `TooLargeError`, and `ValueError` for what contains itself and for a number that JSON cannot hold, which
    the library would make null inside a model.
    """
    found, measure = Survey(), Measure(bounds)
    # A dict keeps the order: the last one is the innermost.
    open_ids: dict[int, None] = {0: None}
    walks: list[Iterator[Any]] = [iter((result,))]
    while walks:
        for value in walks[-1]:
            kind = type(value)
            if kind is str or kind is bytes:
                measure.read(len(value))
            elif isinstance(value, float | Decimal | complex):
                # The library would make texts of those that are no floats.
                if not_finite(value):
                    raise ValueError(not_finite_text(result, value))
            elif kind not in SCALARS:
                inside = _looked_into(value, found, measure)
                if found.needs_copy:
                    return found
                if inside is not None:
                    if id(value) in open_ids:
                        raise ValueError("it contains itself")
                    open_ids[id(value)] = None
                    walks.append(inside)
                    break
        else:
            walks.pop()
            open_ids.popitem()
    return found


def _looked_into(value: Any, found: Survey, measure: Measure) -> Iterator[Any] | None:
    """What is in a value that is no plain scalar; None if nothing is."""
    if isinstance(value, dict):
        measure.count(len(value))
        if not all(map(_is_text, value)):
            found.needs_copy = True
            return None
        measure.read(sum(map(len, value)))
        return iter(value.values())
    if isinstance(value, _LISTS):
        measure.count(len(value))
        return iter(value)
    if isinstance(value, _TEXTS):
        measure.read(len(value))
        return None
    if isinstance(value, Iterator | AsyncIterator):
        found.needs_copy = True
        return None
    if isinstance(value, Enum):
        return iter((value.value,))
    fields = fields_of(value)
    if fields is None:
        return None
    found.has_models = True
    measure.count(len(fields))
    return iter(fields.values())


def _is_text(key: Any) -> bool:
    return type(key) is str


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a model or a dataclass."""
    if isinstance(value, pydantic.BaseModel):
        return {**vars(value), **(value.model_extra or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
    return None

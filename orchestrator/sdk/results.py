"""Making JSON of what a tool returns: bounded, and without losing anything silently."""

import copy
from collections import deque
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from io import IOBase
from typing import Any, Final

from pydantic_core import to_jsonable_python

from orchestrator.messages.sizes import MANY_VALUES, MUCH_TEXT
from orchestrator.messages.values import not_finite, not_finite_text
from orchestrator.sdk.errors import PermanentError
from orchestrator.sdk.failures import described
from orchestrator.sdk.isolation.outcome import OUTPUT_LIMIT
from orchestrator.sdk.result_bounds import (
    SCALARS,
    Bounds,
    Measure,
    TooLargeError,
    fields_of,
    survey,
)

OUTPUT_NOT_JSON: Final = "output_not_json"

BOUNDS: Final = Bounds()
_QUICK: Final = Bounds(MANY_VALUES, MUCH_TEXT)


def jsonable(result: Any, tool_name: str, bounds: Bounds = BOUNDS) -> Any:
    """What a tool returned as plain JSON data. It may hold models, dataclasses, dates, paths, sets and iterators.

    Raises `PermanentError` with the code `output_limit` for a result beyond the bounds, such as an iterator that does
    not end, and `output_not_json` for any other.
    """
    try:
        return _jsonable(result, bounds)
    except TooLargeError as error:
        raise PermanentError(
            f"{_what(tool_name, result)} is too large: {error}", code=OUTPUT_LIMIT
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise output_not_json(tool_name, result, error) from error


def takes_long(result: Any) -> bool:
    """Whether `jsonable` may take so long that an event loop should not wait for it: for what is large, and for what
    has to be copied, such as an iterator, whose length nobody knows."""
    try:
        return survey(result, _QUICK).needs_copy
    except TooLargeError:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, it is raised again, and told, when JSON is made of it
        return False


def output_not_json(tool_name: str, result: Any, error: Exception) -> PermanentError:
    return PermanentError(f"{_what(tool_name, result)} is not JSON: {described(error)}", code=OUTPUT_NOT_JSON)


def _what(tool_name: str, result: Any) -> str:
    return f"what {tool_name} returned ({type(result).__name__})"


def _jsonable(result: Any, bounds: Bounds) -> Any:
    found = survey(result, bounds)
    # The library would read an iterator that has no end for ever, and hold the interpreter's lock meanwhile.
    plain = to_jsonable_python(_Copying(bounds).copied(result) if found.needs_copy else result)
    if found.needs_copy or found.has_models:
        survey(plain, bounds)
    return plain


class _Copying:
    """Copies a result within the bounds, with a list in place of each iterator."""

    def __init__(self, bounds: Bounds) -> None:
        self._measure = Measure(bounds)
        self._inside: set[int] = set()

    def copied(self, value: Any) -> Any:
        if isinstance(value, str | bytes | bytearray):
            self._measure.read(len(value))
            return value
        if isinstance(value, float | Decimal | complex):
            if not_finite(value):
                raise ValueError(not_finite_text(value, value))
            return value
        if type(value) in SCALARS:
            return value
        if isinstance(value, IOBase):
            raise TypeError("a file cannot be returned: return what is in it, or its path")
        if isinstance(value, AsyncIterator):
            raise TypeError(
                "an async iterator cannot be read here: return a list, [item async for item in …]"
            )
        if isinstance(value, Iterator):
            return self._copied_iterator(value)
        if id(value) in self._inside:
            raise ValueError("it contains itself")
        self._inside.add(id(value))
        try:
            return self._copied_members(value)
        finally:
            self._inside.discard(id(value))

    def _copied_members(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._copied_dict(value)
        if isinstance(value, list | tuple | set | frozenset | deque):
            self._measure.count(len(value))
            return [self.copied(one) for one in value]
        fields = fields_of(value)
        if fields is None:
            return value
        self._measure.count(len(fields))
        changed = {name: one for name, old in fields.items() if (one := self.copied(old)) is not old}
        if not changed:
            return value
        copied = copy.copy(value)
        for name, one in changed.items():
            object.__setattr__(copied, name, one)
        return copied

    def _copied_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        self._measure.count(len(value))
        keys = {_key(key) for key in value}
        if len(keys) < len(value):
            raise ValueError("two keys of a dict are the same text in JSON, such as 1 and '1'")
        self._measure.read(sum(map(len, keys)))
        return {key: self.copied(one) for key, one in value.items()}

    def _copied_iterator(self, iterator: Iterator[Any]) -> list[Any]:
        items: list[Any] = []
        for item in iterator:
            self._measure.count(1)
            items.append(self.copied(item))
        return items


def _key(key: Any) -> str:
    """A key as it is in JSON."""
    if isinstance(key, str):
        return key
    (written,) = to_jsonable_python({key: None})
    return str(written)

"""Making JSON of what a tool returns: bounded, and without losing anything silently."""

import copy
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Iterator
from io import IOBase
from math import isfinite
from typing import Any, Final

import pydantic
from pydantic_core import to_jsonable_python

from orchestrator.sdk import PermanentError, described
from orchestrator.sdk.messages import not_finite_text

OUTPUT_NOT_JSON: Final = "output_not_json"

MOST_ITEMS: Final = 100_000
"""Items that an iterator in a result may give."""
MOST_CHARACTERS: Final = 64 * 1024 * 1024
"""Characters, or bytes, of the texts that an iterator may give."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None), bytes})
_CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset})


def jsonable(result: Any, tool_name: str) -> Any:
    """What a tool returned as plain JSON data. It may hold models, dataclasses, dates, paths, sets and iterators.

    Raises `PermanentError` with the code `output_not_json`, also for an iterator that does not end.
    """
    try:
        return to_jsonable_python(_without_iterators(result))
    except (ValueError, TypeError, RecursionError) as error:
        raise output_not_json(tool_name, result, error) from error


def output_not_json(tool_name: str, result: Any, error: Exception) -> PermanentError:
    what = f"what {tool_name} returned ({type(result).__name__})"
    return PermanentError(f"{what} is not JSON: {described(error)}", code=OUTPUT_NOT_JSON)


def _without_iterators(result: Any) -> Any:
    """The result with a list in place of each iterator: the library would read one that has no end for ever, and hold
    the interpreter's lock meanwhile. Only what has iterators in it is copied."""
    return _Reading().read(result) if _needs_reading(result) else result


def _needs_reading(result: Any) -> bool:
    """Whether there is an iterator, or a key that is not text, anywhere in the result.

    Raises `ValueError` for a number that JSON cannot hold, which the library would make null inside a model.
    """
    waiting: list[Any] = [result]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is float and not isfinite(value):
            raise ValueError(not_finite_text(result, value))
        if kind in _SCALARS:
            continue
        if kind not in _CONTAINERS and isinstance(value, Iterator | AsyncIterator):
            return True
        members = _members(value)
        if members is None or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict) and not all(map(_is_text, value)):
            return True
        waiting.extend(members)
    return False


def _is_text(key: Any) -> bool:
    return type(key) is str


def _members(value: Any) -> Any:
    """What is in a container, or in an object with fields; None for anything else."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    fields = _fields(value)
    return None if fields is None else fields.values()


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a model or a dataclass."""
    if isinstance(value, pydantic.BaseModel):
        return {**vars(value), **(value.model_extra or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
    return None


class _Reading:
    """Copies a result, reading its iterators within the bounds."""

    def __init__(self) -> None:
        self._characters = 0
        self._inside: set[int] = set()

    def read(self, value: Any) -> Any:
        if type(value) in _SCALARS:
            if type(value) is float and not isfinite(value):
                raise ValueError(not_finite_text(value, value))
            return value
        if isinstance(value, IOBase):
            raise TypeError("a file cannot be returned: return what is in it, or its path")
        if isinstance(value, AsyncIterator):
            raise TypeError(
                "an async iterator cannot be read here: return a list, [item async for item in …]"
            )
        if isinstance(value, Iterator):
            return self._read_iterator(value)
        if id(value) in self._inside:
            raise ValueError("it contains itself")
        self._inside.add(id(value))
        try:
            return self._read_members(value)
        finally:
            self._inside.discard(id(value))

    def _read_members(self, value: Any) -> Any:
        if isinstance(value, dict):
            if len({_key(key) for key in value}) < len(value):
                raise ValueError("two keys of a dict are the same text in JSON, such as 1 and '1'")
            return {key: self.read(one) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset | deque):
            return [self.read(one) for one in value]
        fields = _fields(value)
        if fields is None:
            return value
        changed = {name: one for name, old in fields.items() if (one := self.read(old)) is not old}
        if not changed:
            return value
        copied = copy.copy(value)
        for name, one in changed.items():
            object.__setattr__(copied, name, one)
        return copied

    def _read_iterator(self, iterator: Iterator[Any]) -> list[Any]:
        items: list[Any] = []
        for item in iterator:
            if len(items) >= MOST_ITEMS:
                raise ValueError(f"an iterator in it gives more than {MOST_ITEMS} items: return a list")
            if isinstance(item, str | bytes):
                self._characters += len(item)
                if self._characters > MOST_CHARACTERS:
                    raise ValueError(
                        f"the texts of an iterator in it have more than {MOST_CHARACTERS} characters"
                    )
            items.append(self.read(item))
        return items


def _key(key: Any) -> str:
    """A key as it is in JSON."""
    if isinstance(key, str):
        return key
    (written,) = to_jsonable_python({key: None})
    return str(written)

"""Values and documents: the data in messages."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from math import isfinite
from typing import Any, Final

import msgspec

from orchestrator.errors import ContractError
from orchestrator.messages.types import Document, Value

JSON: Final = "application/json"
_WRITTEN: Final = (b"null", b"NaN", b"Infinity")
_MOST_SEARCHED: Final = 1_000_000
_LONGEST_PLACE: Final = 1_000
"""How far the place of a number is searched for in data that may contain itself: values, and characters of a place."""


def value_of(content: bytes, media_type: str = JSON) -> Value:
    """An inline value with its size and hash."""
    return Value(media_type=media_type, inline=content, size=len(content), sha256=sha256(content).hexdigest())


def json_value(content: Any) -> Value:
    """An inline JSON value. Raises `ContractError` for what JSON cannot hold, such as NaN."""
    return value_of(json_text(content))


def json_text(content: Any) -> bytes:
    """Content as JSON; what is a `msgspec.Raw` is JSON already. Raises `ContractError` for what JSON cannot hold."""
    try:
        encoded = msgspec.json.encode(content)
        # NaN and the infinities are written as null, those of Decimal as text: without, there is nothing to look for.
        found = _not_finite(content) if any(one in encoded for one in _WRITTEN) else None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ContractError(f"the value cannot be written as JSON: {error}") from error
    if found is not None:
        raise ContractError(f"the value cannot be written as JSON: {_not_finite_text(*found)}")
    return encoded


def not_finite(number: float | Decimal | complex) -> bool:
    """Whether JSON has no such number."""
    if isinstance(number, Decimal):
        return not number.is_finite()
    return isinstance(number, complex) or not isfinite(number)


def not_finite_text(content: Any, number: float | Decimal | complex) -> str:
    """Says that `number`, somewhere in `content`, is none that JSON can hold."""
    place, found = _not_finite(content, _MOST_SEARCHED) or ("", number)
    return _not_finite_text(place, found)


def _not_finite_text(place: str, number: float | Decimal | complex) -> str:
    where = f"at {place} is" if place else "it has"
    return f"{where} {number}, which JSON has no number for: leave it out, or put null or a text in its place"


def _not_finite(content: Any, most: int | None = None) -> tuple[str, float | Decimal | complex] | None:
    """The first number in plain data that JSON cannot hold, and the JSON pointer of its place.

    With `most` the search ends after so many values, and does not go deep: data that contains itself has no end.
    """
    walks: list[Iterator[tuple[str, Any]]] = [iter((("", content),))]
    seen = 0
    while walks:
        for place, value in walks[-1]:
            seen += 1
            if isinstance(value, float | Decimal | complex):
                if not_finite(value):
                    return place, value
            elif most is not None and (seen > most or len(place) > _LONGEST_PLACE):
                return None
            elif (inside := _inside(place, value)) is not None:
                walks.append(inside)
                break
        else:
            walks.pop()
    return None


def _inside(place: str, value: Any) -> Iterator[tuple[str, Any]] | None:
    """What is in a value, with the place of each; None if nothing can be."""
    if isinstance(value, Mapping):
        return ((f"{place}/{key}", one) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ((f"{place}/{index}", one) for index, one in enumerate(value))
    if isinstance(value, msgspec.Struct):
        # A number of its own has a type, and is no data of anybody's: null is as good there.
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return ((f"{place}/{name}", one) for name, one in fields if not isinstance(one, float))
    return None


def read_json(value: Value | None) -> Any:
    """Content of an inline JSON value; None for no value. Raises `ContractError` for any other value."""
    if value is None:
        return None
    if value.inline is None:
        raise ContractError(f"the value is stored at {value.uri}: load it from the value store first")
    if not value.media_type.endswith("json"):
        raise ContractError(f"a JSON value was expected, not {value.media_type}")
    try:
        return msgspec.json.decode(value.inline)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"the value is not JSON: {error}") from error


def steps_named(document: Document | None) -> frozenset[str]:
    """Steps whose outputs a document refers to."""
    return frozenset(reference.step_id for reference in document.references) if document else frozenset()

"""Whether data fits a JSON Schema (2020-12), and what about it does not, for people and for models."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from orchestrator_services.schema_keywords import (
    LONGEST_PATTERN,
    Members,
    SlowPatternError,
    Validator,
    time_for_patterns,
)

_MOST_PROBLEMS: Final = 5


class InvalidSchemaError(ValueError):
    """A schema that nothing can be checked against."""


def mismatches(schema: str, content: Any) -> list[ValidationError]:
    """Everything in `content` that does not fit the schema, a JSON text. Raises `InvalidSchemaError`.

    A number that JSON does not have (NaN, infinity) fits no schema, and no text that takes too long to compare with a
    pattern.
    """
    try:
        validator = _validator(schema)
        with time_for_patterns():
            return [*validator.iter_errors(content), *_no_numbers(content, ())]
    except SlowPatternError as error:
        return [ValidationError(str(error))]
    except (ValueError, SchemaError, Unresolvable) as error:
        raise InvalidSchemaError(str(error)) from error


def explained(errors: Iterable[ValidationError]) -> list[str]:
    """The first few of these, in the order of their places."""
    found = sorted(errors, key=lambda error: [str(token) for token in error.absolute_path])
    return [_explained(error) for error in found[:_MOST_PROBLEMS]]


def _no_numbers(content: Any, place: tuple[str | int, ...]) -> Iterator[ValidationError]:
    if isinstance(content, float) and not isfinite(content):
        yield ValidationError(f"{content} is not a number that JSON has", path=place)
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _no_numbers(value, (*place, str(key)))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _no_numbers(value, (*place, index))


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    loaded = json.loads(schema, object_hook=_searchable)
    # The library's own check of schemas takes its own keywords.
    check = Validator(Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    with time_for_patterns():
        for error in check.iter_errors(loaded):
            raise SchemaError.create_from(error)
    # An empty registry: without it jsonschema fetches a $ref from wherever it points.
    return Validator(loaded, registry=Registry())


def _searchable(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema, as it is read: its `enum` can be searched, and its patterns can be compiled in time."""
    patterns = part.get("patternProperties")
    for pattern in (part.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
        if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
            raise InvalidSchemaError(
                f"a pattern has {len(pattern)} characters; at most {LONGEST_PATTERN} are allowed"
            )
    if isinstance(part.get("enum"), list):
        part["enum"] = Members(part["enum"])
    return part


def _explained(error: ValidationError) -> str:
    place = ".".join(map(str, error.absolute_path))
    return f"{place}: {error.message}" if place else error.message

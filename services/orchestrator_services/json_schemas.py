"""Whether data fits a JSON Schema (2020-12), and what about it does not, for people and for models."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from math import isfinite
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from orchestrator_services.schema_keywords import Members, Validator
from orchestrator_services.schema_patterns import (
    LONGEST_PATTERN,
    MOST_REPEATED,
    SlowPatternError,
    repeated_length,
    time_for_patterns,
)
from orchestrator_services.schema_steps import STEPS_FOR_A_SCHEMA, TooManyStepsError, steps_for

LONGEST_REFERENCE: Final = 1_000
"""Characters: each is joined with those around it."""
MOST_LISTED: Final = 1_000
"""Parts that do not fit. Whether content fits is known with the first; callers look at where the others are."""
_MOST_PROBLEMS: Final = 5
_LONGEST_PROBLEM: Final = 1_000
_REFERENCES: Final = ("$ref", "$dynamicRef", "$id", "$anchor", "$dynamicAnchor", "$schema")
_BROKEN: Final = (
    Unresolvable,
    UnknownType,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a schema makes the library raise, where it is none, or refers to a part of it that is none."""


class InvalidSchemaError(ValueError):
    """A schema that nothing can be checked against."""


class NotCheckedError(ValidationError):
    """The check took too long or found too much, so nobody knows what else does not fit."""


def mismatches(
    schema: str, content: Any, counts: Callable[[ValidationError], bool] = lambda _: True
) -> list[ValidationError]:
    """Everything that `counts` and does not fit the schema, a JSON text. Raises `InvalidSchemaError`.

    At most `MOST_LISTED` are: where there are more, a `NotCheckedError` is the last. A number that JSON does not have
    (NaN, infinity) fits no schema, and no content whose check takes too long: a text to be compared with a pattern, or
    all of it. That is one `NotCheckedError`.
    """
    validator = _checked(schema, _validator)
    try:
        with _bounded(content):
            return _first(filter(counts, chain(validator.iter_errors(content), _no_numbers(content, ()))))
    except (SlowPatternError, TooManyStepsError) as error:
        return [NotCheckedError(str(error))]
    except _BROKEN as error:
        raise InvalidSchemaError(str(error)) from error
    except RecursionError as error:
        raise InvalidSchemaError(
            "it refers to itself without end, or content is nested too deeply for it"
        ) from error


def _first(errors: Iterable[ValidationError]) -> list[ValidationError]:
    found = list(islice(errors, MOST_LISTED + 1))
    if len(found) > MOST_LISTED:
        found[MOST_LISTED] = NotCheckedError(f"more than {MOST_LISTED} parts of it do not fit")
    return found


def require_schema(schema: str) -> None:
    """Raises `InvalidSchemaError` unless the text is a schema. Keeps nothing of it: lists have many."""
    _checked(schema, _made)


def _checked(schema: str, make: Callable[[str], Any]) -> Any:
    try:
        return make(schema)
    except (SlowPatternError, TooManyStepsError, *_BROKEN) as error:
        raise InvalidSchemaError(str(error)) from error
    except RecursionError as error:
        raise InvalidSchemaError("it is nested too deeply") from error


@contextmanager
def _bounded(content: Any, most_steps: int | None = None) -> Iterator[None]:
    with time_for_patterns(), steps_for(content, most_steps):
        yield


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


def _made(schema: str) -> Any:
    loaded = json.loads(schema, object_hook=_Reading().part)
    # The library's own check of schemas takes its own keywords.
    check = Validator(Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    with _bounded(loaded, STEPS_FOR_A_SCHEMA):
        for error in check.iter_errors(loaded):
            raise InvalidSchemaError(_explained(error)[:_LONGEST_PROBLEM])
    # An empty registry: without it jsonschema fetches a $ref from wherever it points.
    validator = Validator(loaded, registry=Registry())
    # Otherwise each $ref to a name looks for all names in the schema again.
    resolver = validator._resolver  # noqa: SLF001 - nothing public searches it once
    registry = resolver._registry.crawl()  # noqa: SLF001
    return validator.evolve(_resolver=registry.resolver(resolver._base_uri))  # noqa: SLF001


_validator: Final = lru_cache(maxsize=1024)(_made)


class _Reading:
    """Takes the parts of a schema as they are read. Raises `InvalidSchemaError`."""

    def __init__(self) -> None:
        self._repeated = 0

    def part(self, part: dict[str, Any]) -> dict[str, Any]:
        """The part: its `enum` can be searched, its patterns compiled and its references followed in time."""
        for keyword in _REFERENCES:
            if isinstance(name := part.get(keyword), str) and len(name) > LONGEST_REFERENCE:
                raise InvalidSchemaError(
                    f"{keyword} has {len(name)} characters; at most {LONGEST_REFERENCE} are allowed"
                )
        patterns = part.get("patternProperties")
        for pattern in (part.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
            if isinstance(pattern, str):
                self._take(pattern)
        if isinstance(part.get("enum"), list):
            part["enum"] = Members(part["enum"])
        return part

    def _take(self, pattern: str) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise InvalidSchemaError(
                f"a pattern has {len(pattern)} characters; at most {LONGEST_PATTERN} are allowed"
            )
        self._repeated += repeated_length(pattern)
        if self._repeated > MOST_REPEATED:
            raise InvalidSchemaError(
                f"its patterns have more than {MOST_REPEATED} characters, with those that they repeat"
            )


def _explained(error: ValidationError) -> str:
    place = ".".join(map(str, error.absolute_path))
    return f"{place}: {error.message}" if place else error.message

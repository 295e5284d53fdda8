"""Keywords of JSON Schema (2020-12) whose check takes time in proportion to the content, whatever the content is.

jsonschema compares all pairs of items for `uniqueItems`, all members of an `enum` with each value, and searches lists
for what is evaluated. And it gives patterns to Python's `re`, which may take years for thirty characters, and lets
nothing else run. Here patterns have some time, and all keywords together a number of steps; content that takes more
does not fit. Messages are jsonschema's own.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from orchestrator_services.schema_patterns import matches
from orchestrator_services.schema_steps import spend, spend_message

_MOST_SHOWN: Final = 100
"""Members of an `enum` in a message: there is one for each value that is wrong."""

_LIBRARYS: Final = Draft202012Validator.VALIDATORS
Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors]


class Members(list[Any]):
    """The members of an `enum`, and what is equal to one of them."""

    def __init__(self, members: list[Any]) -> None:
        super().__init__(members)
        self.forms = frozenset(map(form, members))


def form(content: Any) -> str:
    """A text that two contents share if they are equal in JSON: 1 and 1.0 are, true and 1 are not."""
    # A text: hashes of texts cannot be made to collide, those of numbers can.
    match content:
        case None | bool() | str():
            return json.dumps(content)
        case int():
            # As decimal digits, large ones would take long, or be refused.
            return f"{content:x}"
        case float():
            return f"{int(content):x}" if content.is_integer() else repr(content)
        case list() | tuple():
            return f"[{','.join(map(form, content))}]"
        case Mapping():
            fields = sorted((json.dumps(str(name)), form(value)) for name, value in content.items())
            return f"{{{','.join(f'{name}:{value}' for name, value in fields)}}}"
        case _:
            return repr(content)


def _unique_items(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Errors:
    if wanted and validator.is_type(instance, "array") and len(set(map(form, instance))) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _enum(validator: Any, members: Any, instance: Any, schema: Any) -> Errors:
    if not isinstance(members, Members):
        yield from _LIBRARYS["enum"](validator, members, instance, schema)
    elif form(instance) not in members.forms:
        others = len(members) - _MOST_SHOWN
        shown = f"{members[:_MOST_SHOWN]!r}" + (f" and {others} others" if others > 0 else "")
        yield ValidationError(f"{instance!r} is not one of {shown}")


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Errors:
    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Errors:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for name, value in instance.items():
                if matches(pattern, name):
                    yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    patterns = schema.get("patternProperties")
    if not patterns or not validator.is_type(instance, "object"):
        yield from _LIBRARYS["additionalProperties"](validator, wanted, instance, schema)
        return
    known = schema.get("properties", {})
    extras = {
        name: value
        for name, value in instance.items()
        if name not in known and not any(matches(pattern, name) for pattern in patterns)
    }
    if wanted is False and extras:
        names, forms = (", ".join(map(repr, sorted(each))) for each in (extras, patterns))
        yield ValidationError(
            f"{names} {'does' if len(extras) == 1 else 'do'} not match any of the regexes: {forms}"
        )
    else:
        yield from _LIBRARYS["additionalProperties"](validator, wanted, extras, {})


def _unevaluated_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    if validator.is_type(instance, "object"):
        evaluated = _evaluated(validator, instance, schema, _own_properties)
        left = {name: value for name, value in instance.items() if name not in evaluated}
        yield from _LIBRARYS["unevaluatedProperties"](validator, wanted, left, {})


def _unevaluated_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    if validator.is_type(instance, "array"):
        evaluated = _evaluated(validator, instance, schema, _own_items)
        left = [item for index, item in enumerate(instance) if index not in evaluated]
        yield from _LIBRARYS["unevaluatedItems"](validator, wanted, left, {})


def _evaluated(
    validator: Any, instance: Any, schema: Any, own: Callable[[Any, Any, Any], set[Any]]
) -> set[Any]:
    """Names or indexes that the schema and those that apply with it in the same place say something about."""
    spend(instance, len(instance))
    if isinstance(schema, bool):
        return set()
    found = own(validator, instance, schema)
    for inner, subschema in _applied(validator, instance, schema):
        found |= _evaluated(inner, instance, subschema, own)
    return found


def _applied(validator: Any, instance: Any, schema: Any) -> Iterator[tuple[Any, Any]]:
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            resolved = validator._resolver.lookup(schema[keyword])  # noqa: SLF001 - as the library's own keywords
            inner = validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
            yield inner, resolved.contents
    for keyword in ("allOf", "oneOf", "anyOf"):
        for subschema in schema.get(keyword, ()):
            if _is_valid(validator, instance, subschema):
                yield validator, subschema
    if isinstance(instance, Mapping):
        for name, subschema in schema.get("dependentSchemas", {}).items():
            if name in instance:
                yield validator, subschema
    if "if" in schema:
        is_so = _is_valid(validator, instance, schema["if"])
        for keyword in ("if", "then") if is_so else ("else",):
            if keyword in schema:
                yield validator, schema[keyword]


def _own_properties(validator: Any, instance: Any, schema: Any) -> set[Any]:
    found = {name for name in schema.get("properties", ()) if name in instance}
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in schema:
            found |= {
                name for name, value in instance.items() if _is_valid(validator, value, schema[keyword])
            }
    patterns = schema.get("patternProperties", ())
    return found | {name for name in instance if any(matches(pattern, name) for pattern in patterns)}


def _own_items(validator: Any, instance: Any, schema: Any) -> set[Any]:
    if "items" in schema:
        return set(range(len(instance)))
    found = set(range(len(schema.get("prefixItems", ()))))
    for keyword in ("contains", "unevaluatedItems"):
        if keyword in schema:
            found |= {
                index for index, item in enumerate(instance) if _is_valid(validator, item, schema[keyword])
            }
    return found


def _is_valid(validator: Any, instance: Any, schema: Any) -> bool:
    return next(validator.descend(instance, schema), None) is None


def _counted(name: str, keyword: Keyword) -> Keyword:
    """The same, as a step, and more for messages of its own."""

    # No generator: each is a frame more on the stack for each level of the content.
    def applied(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        # A JSON pointer is compared with its first parts at each of its parts.
        spend(instance, value.count("/") ** 2 if isinstance(value, str) else _length(value))
        return keyword(validator, value, instance, schema)

    def with_messages(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        for error in applied(validator, value, instance, schema):
            spend_message(error.message)
            yield error

    return applied if name in _PASS_ON else with_messages


_PASS_ON: Final = frozenset(
    {
        *(
            "$ref",
            "$dynamicRef",
            "allOf",
            "anyOf",
            "dependentSchemas",
            "if",
            "items",
            "prefixItems",
            "properties",
        ),
        *("patternProperties", "propertyNames"),
    }
)
"""Keywords that say nothing of the schema themselves, and are those which schemas nest."""


def _length(value: Any) -> int:
    return len(value) if isinstance(value, Sized) else 0


_OURS: Final[Mapping[str, Keyword]] = {
    "additionalProperties": _additional_properties,
    "enum": _enum,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "unevaluatedItems": _unevaluated_items,
    "unevaluatedProperties": _unevaluated_properties,
    "uniqueItems": _unique_items,
}
Validator: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _counted(name, keyword) for name, keyword in {**_LIBRARYS, **_OURS}.items()},
)
"""Checks as jsonschema does, within `time_for_patterns` and `steps_for`."""


def _evolve(self: Any, **changes: Any) -> Any:
    """As the library's, but always with our keywords: where a part names another `$schema`, it takes its own."""
    kept = {
        "schema": self.schema,
        "format_checker": self.format_checker,
        "registry": self._registry,
        "_resolver": self._resolver,
    }
    return Validator(**{**kept, **changes})


def _descend(self: Any, instance: Any, schema: Any, **places: Any) -> Errors:
    spend(instance)
    errors: Errors = Draft202012Validator.descend(self, instance, schema, **places)
    return errors


def _iter_errors(self: Any, instance: Any) -> Errors:
    spend(instance)
    return Draft202012Validator.iter_errors(self, instance)


# The library warns of subclasses.
Validator.evolve, Validator.descend, Validator.iter_errors = _evolve, _descend, _iter_errors

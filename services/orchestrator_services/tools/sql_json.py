"""Values of DuckDB as JSON, by the types of their columns: the values alone do not tell all that they are."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeAlias

import duckdb

from orchestrator.sdk import InvalidInput

Type: TypeAlias = Any
"""A type of DuckDB: it has an `id`, and `children` if it is nested."""
Converted: TypeAlias = Callable[[Any], Any]

_TIMES: Final = frozenset(
    {
        "date",
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_ns",
        "timestamp with time zone",
        "timestamptz_ns",
        "time_ns",
    }
)
"""Types with nanoseconds, which the client cuts off, or with infinities, which it gives as the last and first moment of
its calendar."""
_NESTED: Final = frozenset({"list", "array", "struct", "tuple", "map", "union"})
_INEXACT_KEYS: Final = _TIMES | {"boolean", "decimal", "union"}
"""Types of keys whose values are other ones, or equal ones, in Python, or look otherwise as text."""
_TAG: Final = "tag"
_MEMBER: Final = "member "
"""Before names of members, in the struct that a union becomes: none of them is the tag."""
_VIEW: Final = '"the query of this call"'


def run_select(connection: duckdb.DuckDBPyConnection, sql: str) -> Sequence[tuple[str, Converted]]:
    """Runs one SELECT, whose rows are fetched from the connection then. Returns names of its columns, and what makes
    JSON of their values. Raises `duckdb.Error`."""
    bound = connection.sql(sql)
    columns, types = [str(name) for name in bound.columns], list(bound.types)
    if any(_is_rewritten(one) for one in types):
        # By place: names may be the same, or differ by case alone.
        places = [f"c{place}" for place in range(len(types))]
        exact = (f"{_exact(place, one)} AS {place}" for place, one in zip(places, types, strict=True))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {_VIEW} ({', '.join(places)}) AS {sql}")
        connection.execute(f"SELECT {', '.join(exact)} FROM {_VIEW}")  # noqa: S608 - names of ours
    else:
        connection.execute(sql)
    return [(name, _converter(one)) for name, one in zip(columns, types, strict=True)]


def _children(kind: Type) -> dict[str, Type]:
    """The types inside a nested one, by name; those of a tuple by number, from 1."""
    if kind.id not in _NESTED:
        return {}
    if kind.id == "tuple":
        return {str(place): one for place, (_, one) in enumerate(kind.children, start=1)}
    # The first child of a union is its tag, and has no name.
    return {name: one for name, one in kind.children if name and (kind.id, name) != ("array", "size")}


def _is_rewritten(kind: Type) -> bool:
    """Whether the client would lose something of such values. Of maps it may: entries whose keys are equal to it."""
    return kind.id in _TIMES or kind.id == "map" or any(map(_is_rewritten, _children(kind).values()))


def _exact(value: str, kind: Type, depth: int = 0) -> str:
    """An SQL expression of the value as the client can hold it: with null in place of infinite dates and times, text of
    those that have nanoseconds, lists of entries for maps, and structs for unions and tuples."""
    if kind.id in _TIMES:
        return _exact_time(value, kind)
    if not _is_rewritten(kind):
        return value
    parts, inner = _children(kind), f"x{depth}"
    match kind.id:
        case "map":
            fields = f"'key': {_exact_key(f'{inner}.key', parts['key'], depth + 1)}, "
            fields += f"'value': {_exact(f'{inner}.value', parts['value'], depth + 1)}"
            return f"list_transform(map_entries({value}), lambda {inner}: {{{fields}}})"
        case "union":
            members = {
                f"{_MEMBER}{name}": _exact(f"union_extract({value}, {_text(name)})", one, depth + 1)
                for name, one in parts.items()
            }
            return _struct_of(value, {_TAG: f"union_tag({value})", **members})
        case "tuple":
            return _struct_of(
                value, {place: _exact(f"{value}[{place}]", one, depth + 1) for place, one in parts.items()}
            )
        case "struct":
            return _struct_of(
                value,
                {name: _exact(f"{value}[{_text(name)}]", one, depth + 1) for name, one in parts.items()},
            )
        case _:
            return f"list_transform({value}, lambda {inner}: {_exact(inner, parts['child'], depth + 1)})"


def _exact_time(value: str, kind: Type) -> str:
    match kind.id:
        case "time_ns":
            return f"{value}::VARCHAR"
        case "timestamp_ns":
            return f"CASE WHEN isinf({value}) THEN NULL ELSE strftime({value}, '%Y-%m-%dT%H:%M:%S.%n') END"
        case "timestamptz_ns":
            # The connection's zone is UTC.
            return f"CASE WHEN isinf({value}::TIMESTAMPTZ) THEN NULL ELSE {value}::VARCHAR END"
        case _:
            return f"CASE WHEN isinf({value}) THEN NULL ELSE {value} END"


def _exact_key(value: str, kind: Type, depth: int) -> str:
    """A key, which is never null; an infinite one as text, so that two stay two."""
    return f"{value}::VARCHAR" if kind.id in _INEXACT_KEYS else _exact(value, kind, depth)


def _struct_of(value: str, fields: Mapping[str, str]) -> str:
    text = ", ".join(f"{_text(name)}: {field}" for name, field in fields.items())
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {{{text}}} END"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _converter(kind: Type) -> Converted:
    """What makes JSON of the values of a type, as `_exact` has them."""
    parts = _children(kind)
    match kind.id:
        case "list" | "array":
            return partial(_list, item=_converter(parts["child"]))
        case "map":
            return partial(_map, key=_key_converter(parts["key"]), item=_converter(parts["value"]))
        case "union" if _is_rewritten(kind):
            return partial(_union, members={name: _converter(one) for name, one in parts.items()})
        case "tuple":
            return partial(_tuple, items=[_converter(one) for one in parts.values()])
        case "struct":
            return partial(_struct, fields={name: _converter(one) for name, one in parts.items()})
        case _ if kind.id in _TIMES:
            return _time
        case _:
            return json_value


def _key_converter(kind: Type) -> Converted:
    if kind.id in _TIMES:
        return _time
    return str if kind.id in _INEXACT_KEYS else partial(_key, converted=_converter(kind))


def _time(value: Any) -> Any:
    """A date or time in ISO 8601. The client has text of those beyond the years 1 to 9999."""
    if not isinstance(value, str):
        return json_value(value)
    if value.endswith("+00"):
        value = f"{value.removesuffix('+00')}Z"
    if " (BC)" in value:
        year, _, rest = value.replace(" (BC)", "").partition("-")
        value = f"{-(int(year) - 1):05d}-{rest}" if int(year) > 1 else f"0000-{rest}"
    elif value.partition("-")[0].isdecimal() and len(value.partition("-")[0]) > 4:
        value = f"+{value}"
    # As Python writes them: microseconds if there are no nanoseconds, and nothing where all is zero.
    return (
        value.replace(" ", "T")
        .removesuffix(".000000000")
        .removesuffix("000" if value[-10:-9] == "." else "\0")
    )


def _list(value: Any, item: Converted) -> Any:
    return None if value is None else [item(one) for one in value]


def _struct(value: Any, fields: Mapping[str, Converted]) -> Any:
    return None if value is None else {name: fields[name](one) for name, one in value.items()}


def _tuple(value: Any, items: Sequence[Converted]) -> Any:
    if value is None:
        return None
    given = value.values() if isinstance(value, Mapping) else value
    return [item(one) for item, one in zip(items, given, strict=True)]


def _union(value: Any, members: Mapping[str, Converted]) -> Any:
    """The member that a union has, of a struct of all."""
    if value is None:
        return None
    tag = value[_TAG]
    return members[tag](value[f"{_MEMBER}{tag}"])


def _map(value: Any, key: Converted, item: Converted) -> Any:
    """Raises `InvalidInput` if two keys have the same text: one of them would be lost."""
    if value is None:
        return None
    entries: dict[str, Any] = {}
    for entry in value:
        name = key(entry["key"])
        if name in entries:
            raise InvalidInput(
                f"two keys of a map are the same text, {name[:100]!r}: select map_entries() of it, which is a list"
            )
        entries[name] = item(entry["value"])
    return entries


def _key(original: Any, converted: Converted) -> str:
    """A key as text: texts as they are, and others as their JSON."""
    key = converted(original)
    if key is None:
        # Infinities and NaN, which are null elsewhere, would be one key.
        return str(original)
    return json.dumps(key, ensure_ascii=False) if isinstance(key, list | dict) else str(key)


def json_value(value: object) -> Any:
    """A value of DuckDB's Python client as JSON; see `QueryResult` for the rules."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value) if value.is_finite() else None
        case datetime():
            if value.tzinfo is None:
                return value.isoformat()
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case list() | tuple():
            return [json_value(item) for item in value]
        case Mapping():
            return {str(json_value(key)): json_value(item) for key, item in value.items()}
        case _:
            return str(value)

"""Values of DuckDB as JSON, by the types of their columns: the values alone do not tell all that they are."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeAlias

import duckdb

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
        "time_ns",
    }
)
"""Types with nanoseconds, which the client cuts off, or with infinities, which it gives as the last and first moment of
its calendar."""
_NESTED: Final = frozenset({"list", "array", "struct", "map", "union", "variant"})
_VIEW: Final = '"the query of this call"'


def run_select(connection: duckdb.DuckDBPyConnection, sql: str) -> Sequence[tuple[str, Converted]]:
    """Runs one SELECT, whose rows are fetched from the connection then. Returns names of its columns, and what makes
    JSON of their values. Raises `duckdb.Error`."""
    bound = connection.sql(sql)
    columns, types = [str(name) for name in bound.columns], list(bound.types)
    if any(_has_times(one) for one in types):
        # By place: names may be the same, or differ by case alone.
        places = [f"c{place}" for place in range(len(types))]
        finite = (f"{_finite(place, one)} AS {place}" for place, one in zip(places, types, strict=True))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {_VIEW} ({', '.join(places)}) AS {sql}")
        connection.execute(f"SELECT {', '.join(finite)} FROM {_VIEW}")  # noqa: S608 - names of ours
    else:
        connection.execute(sql)
    return [(name, _converter(one)) for name, one in zip(columns, types, strict=True)]


def _children(kind: Type) -> dict[str, Type]:
    return dict(kind.children) if kind.id in _NESTED and kind.id != "variant" else {}


def _has_times(kind: Type) -> bool:
    if kind.id == "map":
        return _has_times(_children(kind)["value"])
    return kind.id in _TIMES or any(
        _has_times(one) for name, one in _children(kind).items() if name != "size"
    )


def _finite(value: str, kind: Type, depth: int = 0) -> str:
    """An SQL expression of the value with null in place of infinite dates and times, and with text of those that have
    nanoseconds. Keys of maps, and members of unions, stay."""
    if kind.id == "time_ns":
        return f"{value}::VARCHAR"
    if kind.id == "timestamp_ns":
        return f"CASE WHEN isinf({value}) THEN NULL ELSE strftime({value}, '%Y-%m-%dT%H:%M:%S.%n') END"
    if kind.id in _TIMES:
        return f"CASE WHEN isinf({value}) THEN NULL ELSE {value} END"
    if not _has_times(kind):
        return value
    parts, inner = _children(kind), f"x{depth}"
    match kind.id:
        case "list" | "array":
            return f"list_transform({value}, lambda {inner}: {_finite(inner, parts['child'], depth + 1)})"
        case "map":
            entry = f"{{'key': {inner}.key, 'value': {_finite(f'{inner}.value', parts['value'], depth + 1)}}}"
            return f"map_from_entries(list_transform(map_entries({value}), lambda {inner}: {entry}))"
        case "struct" if all(parts):
            fields = ", ".join(
                f"{_text(name)}: {_finite(f'{value}[{_text(name)}]', one, depth + 1)}"
                for name, one in parts.items()
            )
            return f"CASE WHEN {value} IS NULL THEN NULL ELSE {{{fields}}} END"
        case _:
            return value


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _converter(kind: Type) -> Converted:
    """What makes JSON of the values of a type."""
    parts = _children(kind)
    match kind.id:
        case "list" | "array":
            return partial(_list, item=_converter(parts["child"]))
        case "map":
            return _map_converter(parts["key"], _converter(parts["value"]))
        case "struct":
            return partial(_struct, fields={name: _converter(one) for name, one in parts.items()})
        case _ if kind.id in _TIMES:
            return _time
        case _:
            return json_value


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
    if not isinstance(value, Mapping):
        # One without names is a tuple.
        return json_value(value)
    return {name: fields[name](one) for name, one in value.items()}


def _map_converter(key_type: Type, item: Converted) -> Converted:
    key = _converter(key_type)

    def converted(value: Any) -> Any:
        if value is None:
            return None
        entries: Iterable[tuple[Any, Any]] = value.items()
        if key_type.id in _NESTED and value.keys() == {"key", "value"}:
            # Python has no dict with such keys, so the client gives two lists.
            entries = zip(value["key"], value["value"], strict=True)
        return {_key(key(name), name): item(one) for name, one in entries}

    return converted


def _key(key: Any, original: Any) -> str:
    """A key as text: texts as they are, and others as their JSON."""
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

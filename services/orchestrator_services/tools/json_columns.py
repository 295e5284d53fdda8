"""Types of columns of JSON: those of the values, while texts stay what they are.

DuckDB finds dates, times and UUIDs in texts, in forms that it chooses row by row: `01-12-2024` and `01-13-2024` were in
December and in January, and `epoch` was a day.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import duckdb

from orchestrator.sdk.messages import keeps_digits
from orchestrator_services.tools.column_types import TIMES, typed
from orchestrator_services.tools.csv_tables import quoted
from orchestrator_services.tools.json_keys import may_be_renamed, refuse_alike
from orchestrator_services.tools.text_files import UnreadableError

Type: TypeAlias = Any
"""A type of DuckDB: it has an `id`, and `children` if it is nested."""
OF_VALUES: Final = frozenset(
    {"boolean", "bigint", "ubigint", "hugeint", "uhugeint", "double", "varchar", "json"}
)
"""Types that say what JSON says. All others were read into texts."""

LONG: Final = re.compile(r"\d{16}")
"""Is in every integer that a DOUBLE does not keep."""


@dataclass(frozen=True)
class Source:
    """A table function of DuckDB with the place `{more}` for options, its arguments, and what it reads as
    (line, text)."""

    reader: str
    arguments: Mapping[str, object]
    records: Callable[[], Iterable[tuple[int, str]]]


def create(connection: duckdb.DuckDBPyConnection, table: str, source: Source, *, is_object: bool) -> None:
    """Makes the table. Texts of whole columns have the types of CSV files if they are dates or times as there.

    Raises `UnreadableError` where a column cannot be told by its name.
    """
    try:
        _create(connection, table, source, "")
    except duckdb.NotImplementedException as error:
        if "Duplicate name" in str(error):
            refuse_alike(source.records(), nested=True)
        raise
    found = _columns(connection, table)
    if is_object and may_be_renamed(found):
        refuse_alike(source.records(), nested=False)
    counts = _counts(connection, table, found)
    wanted = {name: _of_values(kind) for name, kind in found.items()}
    if wanted != {name: str(kind) for name, kind in found.items()}:
        columns = ", ".join(
            f"{quoted(name)}: '{kind.replace(chr(39), chr(39) * 2)}'" for name, kind in wanted.items()
        )
        # Objects with many keys may be one column of maps: then their records are its values.
        for records in _readings(len(wanted), is_object=is_object):
            _create(connection, table, source, f", records = '{records}', columns = {{{columns}}}")
            if _counts(connection, table, found) == counts:
                break
        else:
            raise UnreadableError("it has keys that differ by case alone, which columns do not: rename one")
    for name, kind in wanted.items():
        if kind == "VARCHAR":
            typed(connection, table, quoted(name), TIMES)


def _readings(columns: int, *, is_object: bool) -> list[str]:
    return ["true"] * is_object + ["false"] * (columns == 1)


def _create(connection: duckdb.DuckDBPyConnection, table: str, source: Source, more: str) -> None:
    connection.execute(
        f"CREATE OR REPLACE TABLE {table} AS FROM {source.reader.replace('{more}', more)}", source.arguments
    )


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, Type]:
    relation = connection.sql(f"FROM {table}")
    return dict(zip(relation.columns, relation.types, strict=True))


def _counts(connection: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str]) -> Any:
    """How many values each column has."""
    counted = ", ".join(f"count({quoted(name)})" for name in columns)
    return connection.execute(f"SELECT {counted} FROM {table}").fetchone()  # noqa: S608 - names of ours, quoted


def _of_values(kind: Type) -> str:
    """The type in SQL, with text in place of what was read into texts."""
    match kind.id:
        case "list":
            return f"{_of_values(dict(kind.children)['child'])}[]"
        case "map":
            parts = dict(kind.children)
            return f"MAP({_of_values(parts['key'])}, {_of_values(parts['value'])})"
        case "struct":
            return f"STRUCT({', '.join(f'{quoted(name)} {_of_values(one)}' for name, one in kind.children)})"
        case _:
            return str(kind) if _is_of_values(kind) else "VARCHAR"


def _is_of_values(kind: Type) -> bool:
    return kind.id in OF_VALUES or str(kind) == "JSON"


class _Lossy(int):
    """An integer that a DOUBLE does not keep."""


def refuse_lost_digits(
    connection: duckdb.DuckDBPyConnection, table: str, records: Iterable[tuple[int, str]]
) -> None:
    """Raises `UnreadableError` for an integer that lost digits because others of its column have fractions. Records are
    (line, text)."""
    columns = {name: kind for name, kind in _columns(connection, table).items() if "DOUBLE" in str(kind)}
    if not columns:
        return
    found: list[str] = []

    def integer(digits: str) -> int:
        if keeps_digits(digits):
            return 0
        found.append(digits)
        return _Lossy(digits)

    decoder = json.JSONDecoder(parse_int=integer, parse_float=lambda _digits: 0.0)
    for line, text in records:
        if not LONG.search(text):
            continue
        found.clear()
        record = decoder.decode(text)
        if found and (lost := _lost(record, columns)):
            raise UnreadableError(
                f"line {line} has {lost} where other records have fractions, so numbers of SQL do not keep its digits: "
                "write them as text"
            )


def _lost(record: Any, columns: Mapping[str, Type]) -> str:
    if isinstance(record, dict):
        for name, kind in columns.items():
            if name in record and (lost := _lost_in(record[name], kind)):
                return lost
    if "json" in columns and not (isinstance(record, dict) and "json" in record):
        return _lost_in(record, columns["json"])
    return ""


def _lost_in(value: Any, kind: Type) -> str:
    """The first integer in the place of a DOUBLE that does not keep it; empty if there is none."""
    if isinstance(value, _Lossy):
        return str(int(value)) if kind.id == "double" else ""
    if kind.id == "list" and isinstance(value, list):
        child = dict(kind.children)["child"]
        return next((lost for one in value if (lost := _lost_in(one, child))), "")
    if kind.id in ("struct", "map") and isinstance(value, dict):
        parts = dict(kind.children)
        kinds = ((one, parts["value"] if kind.id == "map" else parts.get(key)) for key, one in value.items())
        return next((lost for one, part in kinds if part is not None and (lost := _lost_in(one, part))), "")
    return ""

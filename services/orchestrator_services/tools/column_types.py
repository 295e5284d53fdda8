"""Types that columns of text may have, and what they would lose by them. The same for all files."""

from collections.abc import Iterable
from typing import Final

import duckdb

from orchestrator.sdk.messages import LEAST_NORMAL, MOST_DIGITS, SURE_DIGITS

NUMBER: Final = r"\s*-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*"
# With a plus it may be a telephone number.
INTEGER: Final = r"\s*-?(0|[1-9]\d*)\s*"
DAY: Final = r"\d{4}-\d{2}-\d{2}"
CLOCK: Final = r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
# Offsets of RFC 3339: DuckDB takes +99:00 too, and is four days off.
ZONE: Final = r"(Z|[-+]([01]\d|2[0-3])(:?[0-5]\d)?)"
TYPES: Final = {
    "BOOLEAN": r"(?i)\s*(true|false)\s*",
    "BIGINT": INTEGER,
    "HUGEINT": INTEGER,
    "DOUBLE": NUMBER,
    "DATE": DAY,
    "TIME": CLOCK,
    "TIMESTAMP": rf"{DAY}([T ]{CLOCK})?",
    "TIMESTAMPTZ": rf"{DAY}[T ]{CLOCK} ?{ZONE}",
}
"""Types that columns may have, best first, and the form that each of their values has. Text is the last."""
TIMES: Final = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ")
# As numbers they would lose what they say: leading zeros, and digits beyond those that a DOUBLE keeps.
INEXACT: Final = r"\s*-?(0\d+.*|\d{16,})\s*"


def typed(connection: duckdb.DuckDBPyConnection, table: str, column: str, kinds: Iterable[str]) -> str:
    """Gives a column of text the first of the types that all of its values have, and returns it. `table` and `column`
    are quoted names."""
    kind = "VARCHAR"
    if holds(connection, table, f"{column} IS NOT NULL"):
        kind = next((one for one in kinds if not holds(connection, table, misfit(column, one))), kind)
    if kind != "VARCHAR":
        connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE {kind}")
    return kind


def holds(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> bool:
    """Whether any row fulfils the condition: the search ends at the first."""
    found = connection.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1")  # noqa: S608
    return found.fetchone() is not None


def misfit(column: str, kind: str) -> str:
    """The condition of a value that does not have the form of a type, does not fit into it, or loses digits."""
    wrong = [f"NOT regexp_full_match({column}, '{TYPES[kind]}')", f"try_cast({column} AS {kind}) IS NULL"]
    if kind == "DOUBLE":
        number = f"try_cast({column} AS DOUBLE)"
        digits = f"trim(regexp_replace({column}, '[eE].*|[^0-9]', '', 'g'), '0')"
        # DuckDB computes it for values too that other conditions have decided, in an order of its own.
        places = f"least(greatest(length({digits}) - 1, 0), {MOST_DIGITS})"
        written = f"format('{{:.' || {places} || 'e}}', abs({number}))"
        wrong += [
            f"regexp_full_match({column}, '{INEXACT}')",
            f"NOT isfinite({number})",
            f"({digits} <> '' AND abs({number}) < {LEAST_NORMAL})",
            f"length({digits}) > {MOST_DIGITS}",
            # As `keeps_digits`.
            f"(length({digits}) > {SURE_DIGITS} AND replace(split_part({written}, 'e', 1), '.', '') <> {digits})",
        ]
    return f"{column} IS NOT NULL AND ({' OR '.join(wrong)})"

"""Parquet files as tables."""

from collections.abc import Iterable
from typing import Final

import duckdb

from orchestrator_services.tools.text_files import UnreadableError

READER: Final = "read_parquet($path, hive_partitioning = false)"
DEEPEST_LISTS: Final = 10
"""Lists and maps in each other. The time that DuckDB takes for a value doubles with each: 25 take it minutes, and so
would thousands of columns with 16."""


def load_parquet(connection: duckdb.DuckDBPyConnection, path: str, table: str) -> None:
    """Loads the file into `table`, a quoted name. Raises `UnreadableError` for a schema that is too deep."""
    schema = connection.execute(
        "SELECT name, repetition_type = 'REPEATED', coalesce(num_children, 0) FROM parquet_schema($path)",
        {"path": path},
    )
    if deep := _too_deep(schema.fetchall()):
        raise UnreadableError(
            f"the column {deep[:100]!r} has more than {DEEPEST_LISTS} lists in each other: write it flatter, or as "
            "JSON text"
        )
    connection.execute(f"CREATE TABLE {table} AS FROM {READER}", {"path": path})


def _too_deep(schema: Iterable[tuple[str, bool | None, int]]) -> str:
    """The first column that has lists too deep; empty if there is none. The schema has (name, is repeated, children) of
    each node before its children."""
    column = ""
    open_nodes: list[tuple[int, int]] = []
    for name, is_repeated, children in schema:
        while open_nodes and open_nodes[-1][0] == 0:
            open_nodes.pop()
        lists = 1 if is_repeated else 0
        if open_nodes:
            left, above = open_nodes.pop()
            open_nodes.append((left - 1, above))
            lists += above
            if len(open_nodes) == 1:
                column = name
        if lists > DEEPEST_LISTS:
            return column
        open_nodes.append((children, lists))
    return ""

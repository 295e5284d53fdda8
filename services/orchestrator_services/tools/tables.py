"""Files of the allowed folder as DuckDB tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import duckdb

from orchestrator.sdk import InvalidInput
from orchestrator_services.tools.access_log import Loaded, load_access_log
from orchestrator_services.tools.duck import refusal, seal
from orchestrator_services.tools.paths import files_folder
from orchestrator_services.tools.settings import ToolSettings

Format = Literal["csv", "json", "parquet", "access-log"]

SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".log": "access-log",
}
READERS: Mapping[Format, str] = {
    "csv": "read_csv($path, hive_partitioning = false)",
    "json": "read_json($path, hive_partitioning = false)",
    "parquet": "read_parquet($path, hive_partitioning = false)",
}
GLOB_CHARACTERS = frozenset("*?[]{}")


def load_tables(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, str], settings: ToolSettings
) -> None:
    """Copies each file (table name: path) into memory, then blocks access to all files.

    Tables, not views: a view would need access to its file, and so would allow COPY ... TO.
    """
    for table, path in files.items():
        place = readable(path, settings)
        kind = format_of(path)
        try:
            if kind == "access-log":
                understood(path, load_access_log(connection, place, f'"{table}"'))
            else:
                sql = f'CREATE TABLE "{table}" AS FROM {READERS[kind]}'
                connection.execute(sql, {"path": str(place)})
        except duckdb.Error as error:
            raise refusal(error, f"{path!r} cannot be read as {kind}", settings, place) from None
    seal(connection)


def load_log(connection: duckdb.DuckDBPyConnection, path: str, settings: ToolSettings) -> Loaded:
    """Loads an access log, with any suffix, into the table `data`. Raises `InvalidInput` if no line is valid."""
    place = readable(path, settings)
    try:
        return understood(path, load_access_log(connection, place, "data"))
    except duckdb.Error as error:
        raise refusal(error, f"{path!r} cannot be read as an access log", settings, place) from None


def understood(path: str, loaded: Loaded) -> Loaded:
    """`loaded`. Raises `InvalidInput` if no line of the log has an accepted format."""
    if loaded.rows == 0:
        example = f"; the first is {loaded.example!r}" if loaded.example else ""
        raise InvalidInput(
            f"{path!r} has no access-log line (lines in other formats: {loaded.malformed}{example}). Accepted are "
            "the common and combined log formats followed by the latency in ms, and JSON lines with time, path, "
            "status and latency_ms"
        )
    return loaded


def readable(path: str, settings: ToolSettings) -> Path:
    """The resolved path of a file whose name DuckDB takes literally."""
    place = files_folder(settings).file(path, settings.max_file_bytes)
    if not GLOB_CHARACTERS.isdisjoint(str(place)):
        raise InvalidInput(f"{path!r} has one of the characters * ? [ ] {{ }} in its full path; rename it")
    return place


def format_of(path: str) -> Format:
    """The format of a file by its suffix, to which `.gz` may be added."""
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise InvalidInput(f"{path!r} has no suffix of a known format: {known}, each also with .gz")
    return SUFFIXES[suffix]

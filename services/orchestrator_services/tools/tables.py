"""Files of the allowed folder as DuckDB tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import duckdb

from orchestrator.sdk import InvalidInput
from orchestrator_services.tools.access_log import Loaded, load_access_log
from orchestrator_services.tools.csv_tables import CsvForm, load_csv, quoted
from orchestrator_services.tools.duck import refusal, seal
from orchestrator_services.tools.json_tables import load_json
from orchestrator_services.tools.parquet_tables import load_parquet
from orchestrator_services.tools.paths import files_folder, is_text
from orchestrator_services.tools.settings import ToolSettings
from orchestrator_services.tools.text_files import LeftOut, TextFile, UnreadableError, UnreadableRowError

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
GLOB_CHARACTERS = frozenset("*?[]{}")


@dataclass(frozen=True)
class Reading:
    """How files are read. Strict: a row that cannot be read refuses its file; lenient: it is left out, and reported."""

    csv: CsvForm = field(default_factory=CsvForm)
    lenient: bool = False


def load_tables(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, str], settings: ToolSettings, reading: Reading
) -> dict[str, LeftOut]:
    """Copies each file (table name: path) into memory, then blocks access to all files. Returns what was left out by
    path: rows in are rows out, unless the reading is lenient.

    Tables, not views: a view would need access to its file, and so would allow COPY ... TO.
    """
    left_out = {}
    for table, path in files.items():
        place = readable(path, settings)
        kind = format_of(path)
        try:
            left_out[path] = _load(
                connection, TextFile(path, place, settings.max_file_bytes), table, kind, reading
            )
        except UnreadableError as error:
            hint = (
                "; `lenient` leaves such rows out and reports them"
                if isinstance(error, UnreadableRowError) and not reading.lenient
                else ""
            )
            raise InvalidInput(f"{path!r} cannot be read as {kind}: {error}{hint}") from None
        except duckdb.Error as error:
            raise refusal(error, f"{path!r} cannot be read as {kind}", settings, place) from None
    seal(connection)
    return left_out


def _load(
    connection: duckdb.DuckDBPyConnection, file: TextFile, name: str, kind: Format, reading: Reading
) -> LeftOut:
    table = quoted(name)
    match kind:
        case "csv":
            return load_csv(
                connection,
                replace(file, encoding=reading.csv.encoding),
                table,
                reading.csv,
                lenient=reading.lenient,
            )
        case "json":
            return load_json(connection, file, table, lenient=reading.lenient)
        case "parquet":
            load_parquet(connection, str(file.place), table)
            return LeftOut()
        case "access-log":
            loaded = understood(file.path, load_access_log(connection, file, table))
            if loaded.left_out.count and not reading.lenient:
                raise UnreadableRowError(str(loaded.left_out.first[0]))
            return loaded.left_out


def load_log(connection: duckdb.DuckDBPyConnection, path: str, settings: ToolSettings) -> Loaded:
    """Loads an access log, with any suffix, into the table `data`. Raises `InvalidInput` if no line is valid."""
    place = readable(path, settings)
    try:
        return understood(
            path, load_access_log(connection, TextFile(path, place, settings.max_file_bytes), "data")
        )
    except UnreadableError as error:
        raise InvalidInput(f"{path!r} cannot be read as an access log: {error}") from None
    except duckdb.Error as error:
        raise refusal(error, f"{path!r} cannot be read as an access log", settings, place) from None


def understood(path: str, loaded: Loaded) -> Loaded:
    """`loaded`. Raises `InvalidInput` if no line of the log has an accepted format."""
    if loaded.rows == 0:
        left_out = loaded.left_out
        example = f"; {left_out.first[0]}" if left_out.first else ""
        raise InvalidInput(
            f"{path!r} has no access-log line (lines in other formats: {left_out.count}{example}). Accepted are "
            "the common and combined log formats followed by the latency in ms, and JSON lines with time, path, "
            "status and latency_ms"
        )
    return loaded


def readable(path: str, settings: ToolSettings) -> Path:
    """The resolved path of a file whose name DuckDB takes literally."""
    place = files_folder(settings).file(path, settings.max_file_bytes)
    if not is_text(str(place)):
        raise InvalidInput(f"{path!r} leads to a file whose name is not UTF-8 text; rename it")
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

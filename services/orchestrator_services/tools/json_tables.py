"""JSON files as tables."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from orchestrator_services.tools.json_columns import Source, create, refuse_lost_digits
from orchestrator_services.tools.json_rows import Record, Report, records_in
from orchestrator_services.tools.text_files import (
    LeftOut,
    TextFile,
    UnreadableError,
    UnreadableRowError,
    Wrong,
)

# Types are those of all records, not of the first 20,480.
READER: Final = (
    "read_json($path, format = '{format}', sample_size = -1, maximum_object_size = $largest, "
    "hive_partitioning = false{more})"
)
LARGEST_RECORD: Final = 16 << 20
"""DuckDB's own limit, which is also the least that it takes."""


def load_json(connection: duckdb.DuckDBPyConnection, file: TextFile, table: str, *, lenient: bool) -> LeftOut:
    """Loads the file into `table`, a quoted name. Returns the records that were left out: none unless `lenient`.

    Raises `UnreadableError` that names the line of the first record that is not one.
    """
    left_out = LeftOut()

    def wrong(problem: Wrong) -> None:
        if not lenient:
            raise UnreadableRowError(str(problem))
        left_out.add(problem)

    # A byte that is not UTF-8 spoils its record only.
    with file.opened("surrogateescape") as opened:
        text = opened.read()
    if not text.strip() and ".json" in file.place.suffixes:
        raise UnreadableError("it is empty")
    in_array, records = records_in(text, wrong)
    kept = list(_alike(records, wrong))
    largest = max((record.end - record.begin for record in kept), default=0)
    is_object = bool(kept) and kept[0].is_object

    def texts() -> Iterator[tuple[int, str]]:
        return ((one.line, text[one.begin : one.end]) for one in kept)

    # One after the other, DuckDB reads objects and lists alone.
    is_readable = not left_out.count and (in_array or is_object or not kept)
    with _place(file, texts(), is_readable=is_readable) as place:
        form = "array" if in_array or place != file.place else "unstructured"
        source = Source(READER.replace("{format}", form), _arguments(place, largest), texts)
        create(connection, table, source, is_object=is_object)
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)  # noqa: S608
    if rows != len(kept):
        raise UnreadableError(f"it has {len(kept)} records, and {rows} of them were read")
    refuse_lost_digits(connection, table, texts())
    return left_out


def _arguments(place: Path, largest: int) -> dict[str, object]:
    # In bytes: a character has up to four.
    return {"path": str(place), "largest": max(LARGEST_RECORD, 4 * largest + 16)}


def _alike(records: Iterable[Record], wrong: Report) -> Iterator[Record]:
    """The records that are objects if the first is one, and values if it is not: otherwise a table of objects would
    lose its columns to one value."""
    first: Record | None = None
    for record in records:
        first = first or record
        if record.is_object == first.is_object:
            yield record
        elif first.is_object:
            wrong(Wrong(record.line, f"is no object, as the record in line {first.line} is"))
        else:
            wrong(Wrong(record.line, f"is an object, and the record in line {first.line} is not"))


@contextmanager
def _place(file: TextFile, texts: Iterable[tuple[int, str]], *, is_readable: bool) -> Iterator[Path]:
    """Where DuckDB finds the records: in the file, or in an array of what is kept."""
    if is_readable and not file.is_marked:
        yield file.place
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8", newline="") as copy:
        between = "["
        for _, record in texts:
            copy.write(between + record)
            between = ",\n"
        copy.write("]" if between != "[" else "[]")
        copy.flush()
        yield Path(copy.name)

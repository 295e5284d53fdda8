"""CSV files as tables: the header, the types of columns, and rows that were left out."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from orchestrator_services.tools.column_types import TYPES, holds, typed
from orchestrator_services.tools.csv_rows import (
    MAX_COLUMNS,
    Dialect,
    Row,
    dialect_of,
    records,
    shape_problem,
)
from orchestrator_services.tools.text_files import (
    Encoding,
    LeftOut,
    TextFile,
    UnreadableError,
    UnreadableRowError,
    Wrong,
)

CHUNK_ROWS: Final = 10_000
CHUNK_CHARACTERS: Final = 4 << 20
# Rows go to DuckDB as one text: no field has a NUL character, so nothing in it looks like these.
FIELD_END: Final = "\0\x1f"
ROW_END: Final = "\0\x1e"

YEAR: Final = re.compile(r"(19|20)\d\d")


class CsvForm(BaseModel):
    """How a CSV file is written, where the file alone does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    separator: Annotated[
        str | None, Field(min_length=1, max_length=1, description="Between columns. Default: found.")
    ] = None
    header: Annotated[
        bool | None,
        Field(description="Whether the first line names the columns; false: they are column_1, column_2 …"),
    ] = None
    encoding: Annotated[Encoding | None, Field(description="Default: UTF-8, or UTF-16 if it is marked.")] = (
        None
    )


def load_csv(
    connection: duckdb.DuckDBPyConnection, file: TextFile, table: str, form: CsvForm, *, lenient: bool
) -> LeftOut:
    """Loads the file into `table`, a quoted name. Returns the rows that were left out: none unless `lenient`.

    Raises `UnreadableError` that names the first line that is not a row.
    """
    return _Load(connection, file, table, form, lenient).run()


class _Load:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        file: TextFile,
        table: str,
        form: CsvForm,
        lenient: bool,
    ) -> None:
        self._connection = connection
        self._file = file
        self._table = table
        self._form = form
        self._lenient = lenient
        self._left_out = LeftOut()

    def run(self) -> LeftOut:
        rows = records(
            self._file, self._dialect(), "surrogateescape" if self._lenient else "strict", self._wrong
        )
        first = next(((line, row) for line, row in rows if row), None)
        if first is None:
            raise UnreadableError("it is empty: the first line names the columns")
        names = self._names(*first)
        self._create(len(names))
        data = self._checked(rows, len(names))
        if self._form.header is False:
            data = _after(first[1], data)
        for chunk in _chunks(data):
            self._insert(chunk, len(names))
        types = self._typed(len(names))
        if self._form.header is None:
            self._check_header(*first, types)
        for number, name in enumerate(names, start=1):
            self._connection.execute(f"ALTER TABLE {self._table} RENAME {_inner(number)} TO {quoted(name)}")
        return self._left_out

    def _dialect(self) -> Dialect:
        if self._form.separator is not None:
            return Dialect(self._form.separator)
        is_tsv = self._file.path.lower().removesuffix(".gz").endswith(".tsv")
        return Dialect("\t") if is_tsv else dialect_of(self._file)

    def _wrong(self, wrong: Wrong) -> None:
        if not self._lenient:
            raise UnreadableRowError(str(wrong))
        self._left_out.add(wrong)

    def _names(self, line: int, first: Row) -> list[str]:
        if len(first) > MAX_COLUMNS:
            raise UnreadableError(f"line {line} has {len(first)} fields, more than {MAX_COLUMNS}")
        if problem := shape_problem(first, len(first)):
            raise UnreadableError(f"line {line}, the header, {problem}")
        if self._form.header is False:
            return [f"column_{number}" for number in range(1, len(first) + 1)]
        names: dict[str, str] = {}
        for number, given in enumerate(first, start=1):
            name = given.strip() or f"column_{number}"
            # DuckDB's names do not differ by case.
            if name.lower() in names:
                if not self._lenient:
                    raise UnreadableError(
                        f"line {line}, the header, names two columns {name!r} (upper and lower case are one): rename "
                        "one, or say `csv.header` false if the line is data; `lenient` numbers them"
                    )
                name = _free(name, names)
            names[name.lower()] = name
        return list(names.values())

    def _checked(self, rows: Iterator[tuple[int, Row]], width: int) -> Iterator[Row]:
        """The rows that have the header's width. In a table of one column a blank line is an empty row, unless only
        blank lines follow."""
        blank = 0
        for line, row in rows:
            if not row:
                blank += width == 1
                continue
            for _ in range(blank):
                yield [""]
            blank = 0
            if len(row) != width or self._lenient:
                if problem := shape_problem(row, width):
                    self._wrong(Wrong(line, problem))
                    continue
            elif "\0" in "".join(row):
                self._wrong(Wrong(line, shape_problem(row, width)))
                continue
            yield row

    def _create(self, width: int) -> None:
        columns = ", ".join(f"{_inner(number)} VARCHAR" for number in range(1, width + 1))
        self._connection.execute(f"CREATE TABLE {self._table} ({columns})")

    def _insert(self, chunk: Sequence[Row], width: int) -> None:
        # An empty field is null: the format has no other form for it.
        fields = ", ".join(f"nullif(fields[{number}], '')" for number in range(1, width + 1))
        self._connection.execute(
            f"INSERT INTO {self._table} SELECT {fields} FROM (SELECT string_split(row, $field) AS fields "  # noqa: S608
            "FROM (SELECT unnest(string_split($rows, $row)) AS row))",
            {
                "rows": ROW_END.join(FIELD_END.join(row) for row in chunk),
                "field": FIELD_END,
                "row": ROW_END,
            },
        )

    def _typed(self, width: int) -> list[str]:
        """Gives each column the first type that all of its values have, and returns the types."""
        return [typed(self._connection, self._table, _inner(number), TYPES) for number in range(1, width + 1)]

    def _check_header(self, line: int, first: Row, types: Sequence[str]) -> None:
        """Refuses a first line that may be data as well as a header: one with a value of the type of its column.

        A year above values that are not all years is a name, as in `country,2024,2025`.
        """
        for number, (cell, kind) in enumerate(zip(first, types, strict=True), start=1):
            if kind == "VARCHAR" or not re.fullmatch(TYPES[kind], cell):
                continue
            if YEAR.fullmatch(cell) and not self._all_years(_inner(number)):
                continue
            raise UnreadableError(
                f"line {line} may be a header or data: {cell!r} is like the values below it. Say which, as "
                "`csv.header` true or false"
            )

    def _all_years(self, column: str) -> bool:
        return not holds(
            self._connection, self._table, f"NOT regexp_full_match({column}::VARCHAR, '{YEAR.pattern}')"
        )


def quoted(name: str) -> str:
    """A name of a column or table in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _inner(number: int) -> str:
    """A column's name while its table is made, which no header can have: it has no space at its ends."""
    return quoted(f" {number}")


def _free(name: str, taken: dict[str, str]) -> str:
    number = 2
    while f"{name}_{number}".lower() in taken:
        number += 1
    return f"{name}_{number}"


def _after(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(map(len, row))
        if len(chunk) == CHUNK_ROWS or size > CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk

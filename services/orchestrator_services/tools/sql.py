"""SQL over files: DuckDB in memory, with access only to the files that the call names."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sdk import InvalidInput, PermanentError, tool
from orchestrator_services.tools.csv_tables import CsvForm
from orchestrator_services.tools.duck import calculate, refusal
from orchestrator_services.tools.heavy import HEAVY
from orchestrator_services.tools.settings import PREFIX, ToolSettings, tool_settings
from orchestrator_services.tools.sql_json import Converted, run_select
from orchestrator_services.tools.tables import Reading, load_tables
from orchestrator_services.tools.text_files import LeftOut

TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
FORMATS = (
    "A .csv, .tsv, .json, .jsonl, .ndjson or .parquet file, or a .log: an access log, with the columns time, "
    "host, method, path, route, status, bytes, latency_ms."
)
FETCH_ROWS = 256


class LeftOutRows(BaseModel):
    """How many rows of a file could not be read, and why the first of them could not."""

    model_config = ConfigDict(frozen=True)

    file: str
    rows: int
    first: list[str]


class QueryResult(BaseModel):
    """The rows of a query as JSON values.

    Dates and times are ISO 8601 strings (instants in UTC with `Z`, years beyond 0 to 9999 with their sign), DECIMAL is
    a float (cast it to VARCHAR where every digit counts), intervals are seconds, BLOB is hexadecimal, NaN and the
    infinities, those of dates and times too, are null. Keys of maps are text: those that are lists or structs as their
    JSON.
    """

    model_config = ConfigDict(frozen=True)

    columns: list[str]
    rows: list[dict[str, Any]]
    row_count: int = Field(description="Rows returned.")
    truncated: bool = Field(description="Whether the query has more rows than were returned.")
    left_out: list[LeftOutRows] = Field(
        default=[], description="Files of which rows were left out; empty unless the call is lenient."
    )


@tool("sql.query", capability="sql", timeout="30s", isolation=HEAVY)
async def query(
    sql: Annotated[str, Field(description="One SELECT statement in DuckDB's dialect.")],
    file: Annotated[str | None, Field(description=f"The table `data`. {FORMATS}")] = None,
    files: Annotated[dict[TableName, str] | None, Field(description="Further tables: {name: path}.")] = None,
    max_rows: Annotated[int, Field(ge=1, le=100_000)] = 1_000,
    csv: Annotated[CsvForm | None, Field(description="What a CSV file does not say itself.")] = None,
    lenient: Annotated[
        bool, Field(description="Leave rows out that cannot be read, and report them in `left_out`.")
    ] = False,
) -> QueryResult:
    """Runs one SQL SELECT (DuckDB's dialect) over CSV, JSON, Parquet or access-log files.

    The files are copied into memory and nothing else is in reach. Rows beyond `max_rows`, or beyond the size
    limit of a result, are left out and `truncated` is true. A file with a row that cannot be read is refused, with the
    row's line, unless the call is `lenient`.
    """
    tables = dict(files or {})
    if file is not None:
        if "data" in tables:
            raise InvalidInput("`data` is the table of `file`; give the other file another name in `files`")
        tables["data"] = file
    if not tables:
        raise InvalidInput("name a file: `file` for the table `data`, or `files` as {table: path}")
    settings = tool_settings()
    reading = Reading(csv or CsvForm(), lenient)

    def work(connection: duckdb.DuckDBPyConnection) -> QueryResult:
        left_out = load_tables(connection, tables, settings, reading)
        result = select(connection, sql, max_rows, settings)
        return result.model_copy(update={"left_out": _reported(left_out)})

    return await calculate(settings, work)


def _reported(left_out: Mapping[str, LeftOut]) -> list[LeftOutRows]:
    return [
        LeftOutRows(file=path, rows=rows.count, first=[str(wrong) for wrong in rows.first])
        for path, rows in left_out.items()
        if rows.count
    ]


def select(
    connection: duckdb.DuckDBPyConnection, sql: str, max_rows: int, settings: ToolSettings
) -> QueryResult:
    """Runs one SELECT on a sealed connection and returns its rows up to both limits."""
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise InvalidInput("`sql` must be exactly one SELECT statement")
        converted = run_select(connection, statements[0].query)
        columns = [name for name, _ in converted]
        if len(set(columns)) != len(columns):
            raise InvalidInput(f"two columns have the same name; add AS aliases: {', '.join(columns)}")
        rows, truncated = _take(connection, converted, max_rows, settings)
    except duckdb.Error as error:
        raise refusal(error, "the query failed", settings) from None
    except OverflowError:
        raise InvalidInput("the query failed: an interval is too long; cast it to VARCHAR") from None
    return QueryResult(columns=columns, rows=rows, row_count=len(rows), truncated=truncated)


def _take(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[tuple[str, Converted]],
    max_rows: int,
    settings: ToolSettings,
) -> tuple[list[dict[str, Any]], bool]:
    rows: list[dict[str, Any]] = []
    size = 0
    while batch := connection.fetchmany(FETCH_ROWS):
        for values in batch:
            if len(rows) == max_rows:
                return rows, True
            row = {name: made(value) for (name, made), value in zip(columns, values, strict=True)}
            size += len(json.dumps(row))
            if size > settings.max_result_bytes:
                if not rows:
                    raise PermanentError(
                        f"the first row alone is larger than {settings.max_result_bytes} bytes; "
                        f"select less of it or raise {PREFIX}MAX_RESULT_BYTES"
                    )
                return rows, True
            rows.append(row)
    return rows, False

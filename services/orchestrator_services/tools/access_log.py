"""Access logs as tables: the accepted line formats and how a file of them is loaded.

Accepted, in any mixture:

- common log format followed by the latency in milliseconds, with or without the referrer and user agent of
  the combined format before it (https://httpd.apache.org/docs/current/logs.html#accesslog):
  `127.0.0.1 - - [2026-11-02T10:15:30.123Z] "GET /checkout HTTP/1.1" 200 5120 37.4`
  The time is ISO 8601 (without a zone it is UTC) or Apache's `10/Oct/2000:13:55:36 -0700`. The request is a method,
  a path without spaces (RFC 9112, section 3) and at most its protocol, `HTTP/…`.
- JSON lines with the keys `time` (or `timestamp`, `ts`, `@timestamp`; ISO 8601), `path` (or `route`, `url`),
  `status`, `latency_ms` (or `duration_ms`, `request_time_ms`) and optionally `method`, `bytes`, `host`. Of several
  keys for one column the first that is not null counts. Numbers may be texts, `bytes` may be `-`.

A status is 100 to 599 (RFC 9110, section 15), bytes are a whole number of 64 bits, a latency has no more digits than a
DOUBLE keeps. Times are kept to the microsecond: further digits are cut. A line with anything else is in no accepted
format, and so is a JSON line that is not JSON throughout (RFC 8259) or has a key twice.

Columns: `time` TIMESTAMPTZ, `host`, `method`, `path` as logged, `route` (the path without its query, segments
that are numbers or UUIDs written `{id}`), `status` INTEGER, `bytes` BIGINT, `latency_ms` DOUBLE.
"""

from dataclasses import dataclass
from typing import Final

import duckdb

from orchestrator_services.tools.column_types import DAY, INTEGER, ZONE, misfit
from orchestrator_services.tools.json_rows import problem_of
from orchestrator_services.tools.lines import load_lines
from orchestrator_services.tools.text_files import MAX_NAMED, LeftOut, TextFile, Wrong

LINE: Final = (
    r'^(\S+) \S+ \S+ \[([^\]]+)\] "([A-Z]+) ((?:[^"\\\s]|\\\S)+)(?: HTTP/\d+(?:\.\d+)?)?" (\d{3}) (\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")? (\d+(?:\.\d+)?)\s*$'
)
ISO: Final = rf"{DAY}[T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d+)?)?( ?{ZONE})?"
APACHE: Final = r"\d{2}/[A-Za-z]{3}/\d{4}:\d{2}:\d{2}:\d{2} [-+]([01]\d|2[0-3])[0-5]\d"
STATUS: Final = r"[1-5]\d{2}"
IDENTIFIER: Final = r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
LATENCIES: Final = ("latency_ms", "duration_ms", "request_time_ms")
MAX_SHOWN: Final = 200
"""Characters of a line that are shown."""
BATCH_LINES: Final = 1_000
"""Lines that are checked at a time; each has up to 1 MiB."""


def _given(*keys: str) -> str:
    """In SQL, the first value of the record that is not null, as JSON."""
    values = (f"nullif(record->'$.\"{key}\"', 'null')" for key in keys)
    return f"coalesce({', '.join(values)}, NULL)"


def _is_text(given: str) -> str:
    return f"coalesce(json_type({given}), 'VARCHAR') = 'VARCHAR'"


FIELDS: Final = f"""
    WITH parsed AS (
        SELECT
            number, line, problem,
            regexp_extract(
                line, $line, ['host', 'time', 'method', 'path', 'status', 'bytes', 'latency_ms']) AS words,
            CASE WHEN line LIKE '{{%' AND problem IS NULL THEN try_cast(line AS JSON) END AS record
        FROM raw_lines
    ), fields AS (
        SELECT
            number, line, problem, record IS NULL AND words.host = '' AS is_other,
            {_given("host")} AS given_host,
            {_given("method")} AS given_method,
            {_given("path", "route", "url")} AS given_path,
            coalesce({_given("time", "timestamp", "ts", "@timestamp")}->>'$', words.time) AS logged_time,
            coalesce({_given("status")}->>'$', words.status) AS logged_status,
            coalesce({_given("bytes")}->>'$', nullif(words.bytes, ''), '-') AS logged_bytes,
            coalesce({_given(*LATENCIES)}->>'$', words.latency_ms) AS logged_latency,
            CASE WHEN regexp_full_match(logged_time, '{ISO}') THEN try_cast(logged_time AS TIMESTAMPTZ)
                 WHEN regexp_full_match(logged_time, '{APACHE}')
                 THEN try_strptime(logged_time, '%d/%b/%Y:%H:%M:%S %z') END AS time,
            coalesce(given_host->>'$', nullif(words.host, '')) AS host,
            coalesce(given_method->>'$', nullif(words.method, '')) AS method,
            coalesce(given_path->>'$', nullif(words.path, '')) AS path,
            try_cast(logged_status AS INTEGER) AS status,
            try_cast(logged_bytes AS BIGINT) AS bytes,
            try_cast(logged_latency AS DOUBLE) AS latency_ms
        FROM parsed
    )
"""  # noqa: S608 - our own text
# A cast alone would round, and take forms of DuckDB's own: `epoch`, `1_000`.
CHECKS: Final = {
    "time": "time >= '0001-01-01 00:00:00Z'::TIMESTAMPTZ AND time < '9999-12-31 00:00:00Z'::TIMESTAMPTZ",
    "host": _is_text("given_host"),
    "method": _is_text("given_method"),
    "path": f"path IS NOT NULL AND {_is_text('given_path')}",
    "status": f"regexp_full_match(logged_status, '{STATUS}')",
    "bytes": f"logged_bytes = '-' OR regexp_full_match(logged_bytes, '{INTEGER}') AND bytes >= 0",
    "latency_ms": f"latency_ms >= 0 AND NOT ({misfit('logged_latency', 'DOUBLE')})",
}
VALID: Final = " AND ".join(f"({check})" for check in CHECKS.values())
UNFIT: Final = ", ".join(
    f"CASE WHEN ({check}) IS NOT TRUE THEN '{name}' END" for name, check in CHECKS.items()
)
ROWS: Final = f"""
    {FIELDS}
    SELECT
        time, host, method, path,
        array_to_string(list_transform(
            string_split(regexp_extract(path, '^[^?#]*'), '/'),
            lambda part: CASE WHEN regexp_full_match(part, $identifier) THEN '{{id}}' ELSE part END), '/'
        ) AS route,
        status, bytes, latency_ms
    FROM fields
    WHERE {VALID}
"""  # noqa: S608 - our own text
OTHERS: Final = f"""
    {FIELDS}
    SELECT
        number, line[:{MAX_SHOWN}],
        CASE WHEN line IS NULL THEN 'is not UTF-8 text, or longer than 1 MiB'
             WHEN problem IS NOT NULL THEN problem
             WHEN is_other THEN 'is in no accepted format'
             ELSE 'is in no accepted format for its ' || concat_ws(', ', {UNFIT}) END
    FROM fields
    WHERE line IS NULL OR trim(line, chr(13) || ' ') != '' AND ({VALID}) IS NOT TRUE ORDER BY number LIMIT $limit
"""  # noqa: S608 - our own text


@dataclass(frozen=True)
class Loaded:
    """How many lines became rows, and those that did not."""

    rows: int
    left_out: LeftOut


def load_access_log(connection: duckdb.DuckDBPyConnection, file: TextFile, table: str) -> Loaded:
    """Loads the lines of the file into `table`. Blank lines are ignored, lines in no accepted format are left out.

    Raises as `load_lines` does.
    """
    load_lines(connection, file)
    _check_json(connection)
    connection.execute(f"CREATE TABLE {table} AS {ROWS}", {"line": LINE, "identifier": IDENTIFIER})
    rows = _number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - a checked name
    lines = _number(
        connection, "SELECT count(*) FROM raw_lines WHERE line IS NULL OR trim(line, chr(13) || ' ') != ''"
    )
    first = []
    if lines > rows:
        others = connection.execute(OTHERS, {"line": LINE, "limit": MAX_NAMED}).fetchall()
        first = [Wrong(number, f"{why}: {line!r}" if line else why) for number, line, why in others]
    connection.execute("DROP TABLE raw_lines")
    return Loaded(rows, LeftOut(lines - rows, first))


def _check_json(connection: duckdb.DuckDBPyConnection) -> None:
    """Gives `raw_lines` a column `problem`: why a line is none of a JSON file, which DuckDB alone would not notice."""
    connection.execute("ALTER TABLE raw_lines ADD COLUMN problem VARCHAR")
    found: dict[int, str] = {}
    lines = connection.execute("SELECT number, line FROM raw_lines WHERE line LIKE '{%'")
    while batch := lines.fetchmany(BATCH_LINES):
        found |= {number: problem for number, line in batch if (problem := problem_of(line, LATENCIES))}
    if found:
        connection.execute(
            "UPDATE raw_lines SET problem = wrong.problem FROM (SELECT unnest($numbers) AS number, "
            "unnest($problems) AS problem) AS wrong WHERE raw_lines.number = wrong.number",
            {"numbers": list(found), "problems": list(found.values())},
        )


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0

"""Access logs as tables: the accepted line formats and how a file of them is loaded.

Accepted, in any mixture:

- common log format followed by the latency in milliseconds, with or without the referrer and user agent of
  the combined format before it (https://httpd.apache.org/docs/current/logs.html#accesslog):
  `127.0.0.1 - - [2026-11-02T10:15:30.123Z] "GET /checkout HTTP/1.1" 200 5120 37.4`
  The time is ISO 8601 (without a zone it is UTC) or Apache's `10/Oct/2000:13:55:36 -0700`.
- JSON lines with the keys `time` (or `timestamp`, `ts`, `@timestamp`; ISO 8601), `path` (or `route`, `url`),
  `status`, `latency_ms` (or `duration_ms`, `request_time_ms`) and optionally `method`, `bytes`, `host`.

Columns: `time` TIMESTAMPTZ, `host`, `method`, `path` as logged, `route` (the path without its query, segments
that are numbers or UUIDs written `{id}`), `status` INTEGER, `bytes` BIGINT, `latency_ms` DOUBLE.
"""

from dataclasses import dataclass

import duckdb

from orchestrator_services.tools.lines import load_lines
from orchestrator_services.tools.text_files import MAX_NAMED, LeftOut, TextFile, Wrong

LINE = (
    r'^(\S+) \S+ \S+ \[([^\]]+)\] "([A-Z]+) (\S+)(?: [^"]*)?" (\d{3}) (\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")? (\d+(?:\.\d+)?)\s*$'
)
IDENTIFIER = r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

FIELDS = """
    WITH parsed AS (
        SELECT
            number, line,
            regexp_extract(
                line, $line, ['host', 'time', 'method', 'path', 'status', 'bytes', 'latency_ms']) AS words,
            CASE WHEN line LIKE '{%' THEN try_cast(line AS JSON) END AS record
        FROM raw_lines
    ), fields AS (
        SELECT
            number, line,
            coalesce(record->>'$.time', record->>'$.timestamp', record->>'$.ts', record->>'$."@timestamp"',
                     words.time) AS logged_at,
            coalesce(try_cast(logged_at AS TIMESTAMPTZ), try_strptime(logged_at, '%d/%b/%Y:%H:%M:%S %z')) AS time,
            coalesce(record->>'$.host', nullif(words.host, '')) AS host,
            coalesce(record->>'$.method', nullif(words.method, '')) AS method,
            coalesce(record->>'$.path', record->>'$.route', record->>'$.url', nullif(words.path, '')) AS path,
            try_cast(coalesce(record->>'$.status', words.status) AS INTEGER) AS status,
            try_cast(coalesce(record->>'$.bytes', words.bytes) AS BIGINT) AS bytes,
            try_cast(coalesce(record->>'$.latency_ms', record->>'$.duration_ms', record->>'$.request_time_ms',
                              words.latency_ms) AS DOUBLE) AS latency_ms
        FROM parsed
    )
"""
VALID = """
    time >= '0001-01-01 00:00:00Z'::TIMESTAMPTZ AND time < '9999-12-31 00:00:00Z'::TIMESTAMPTZ
        AND path IS NOT NULL AND status IS NOT NULL
        AND latency_ms >= 0 AND latency_ms < 'infinity'::DOUBLE
"""
ROWS = f"""
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
OTHERS = f"""
    {FIELDS}
    SELECT number, line FROM fields
    WHERE line IS NULL OR trim(line, chr(13) || ' ') != '' AND ({VALID}) IS NOT TRUE ORDER BY number LIMIT $limit
"""  # noqa: S608 - our own text
MAX_SHOWN = 200
"""Characters of a line that are shown."""


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
    connection.execute(f"CREATE TABLE {table} AS {ROWS}", {"line": LINE, "identifier": IDENTIFIER})
    rows = _number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - a checked name
    lines = _number(
        connection, "SELECT count(*) FROM raw_lines WHERE line IS NULL OR trim(line, chr(13) || ' ') != ''"
    )
    first = []
    if lines > rows:
        others = connection.execute(OTHERS, {"line": LINE, "limit": MAX_NAMED}).fetchall()
        first = [Wrong(number, _why(line)) for number, line in others]
    connection.execute("DROP TABLE raw_lines")
    return Loaded(rows, LeftOut(lines - rows, first))


def _why(line: str | None) -> str:
    if line is None:
        return "is not UTF-8 text, or longer than 1 MiB"
    return f"is in no accepted format: {line[:MAX_SHOWN]!r}"


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0

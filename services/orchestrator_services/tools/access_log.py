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
from pathlib import Path

import duckdb

LINE = (
    r'^(\S+) \S+ \S+ \[([^\]]+)\] "([A-Z]+) (\S+)(?: [^"]*)?" (\d{3}) (\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")? (\d+(?:\.\d+)?)\s*$'
)
IDENTIFIER = r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

# No valid log line has these control characters, so each line is read as one field.
RAW_LINES = """
    CREATE TABLE raw_lines AS SELECT line FROM read_csv(
        $path, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, hive_partitioning =
        false, delim = '\x01', nullstr = '\x02', quote = '', escape = '', new_line = '\\n', strict_mode =
        false, max_line_size = 1048576, ignore_errors = true, store_rejects = true)
"""

ROWS = """
    CREATE TABLE {table} AS
    WITH parsed AS (
        SELECT
            regexp_extract(
                line, $line, ['host', 'time', 'method', 'path', 'status', 'bytes', 'latency_ms']) AS words,
            CASE WHEN line LIKE '{{%' THEN try_cast(line AS JSON) END AS record
        FROM raw_lines
    ), fields AS (
        SELECT
            coalesce(record->>'$.time', record->>'$.timestamp', record->>'$.ts', record->>'$."@timestamp"',
                     words.time) AS logged_at,
            coalesce(record->>'$.host', nullif(words.host, '')) AS host,
            coalesce(record->>'$.method', nullif(words.method, '')) AS method,
            coalesce(record->>'$.path', record->>'$.route', record->>'$.url', nullif(words.path, '')) AS path,
            try_cast(coalesce(record->>'$.status', words.status) AS INTEGER) AS status,
            try_cast(coalesce(record->>'$.bytes', words.bytes) AS BIGINT) AS bytes,
            try_cast(coalesce(record->>'$.latency_ms', record->>'$.duration_ms', record->>'$.request_time_ms',
                              words.latency_ms) AS DOUBLE) AS latency_ms
        FROM parsed
    )
    SELECT
        coalesce(try_cast(logged_at AS TIMESTAMPTZ), try_strptime(logged_at, '%d/%b/%Y:%H:%M:%S %z')) AS time,
        host, method, path,
        array_to_string(list_transform(
            string_split(regexp_extract(path, '^[^?#]*'), '/'),
            lambda part: CASE WHEN regexp_full_match(part, $identifier) THEN '{{id}}' ELSE part END), '/'
        ) AS route,
        status, bytes, latency_ms
    FROM fields
    WHERE time IS NOT NULL AND path IS NOT NULL AND status IS NOT NULL
        AND latency_ms >= 0 AND latency_ms < 'infinity'::DOUBLE
"""


@dataclass(frozen=True)
class Loaded:
    """How many lines became rows, how many did not, and the first of the latter (cut), if it was text."""

    rows: int
    malformed: int
    example: str


def load_access_log(connection: duckdb.DuckDBPyConnection, place: Path, table: str) -> Loaded:
    """Loads the lines of the file into `table`. Blank lines are ignored, lines in no accepted format are counted."""
    connection.execute(RAW_LINES, {"path": str(place)})
    connection.execute(ROWS.format(table=table), {"line": LINE, "identifier": IDENTIFIER})
    rows = _number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - a checked name
    lines = _number(connection, "SELECT count(*) FROM raw_lines WHERE trim(line) != ''")
    rejected = _number(connection, "SELECT count(DISTINCT (scan_id, line)) FROM reject_errors")
    example = ""
    if lines > rows:
        found = connection.execute(
            "SELECT line FROM raw_lines WHERE trim(line) != '' AND NOT regexp_matches(line, $line) LIMIT 1",
            {"line": LINE},
        ).fetchone()
        example = str(found[0])[:200] if found else ""
    for leftover in ("raw_lines", "reject_errors", "reject_scans"):
        connection.execute(f"DROP TABLE {leftover}")
    return Loaded(rows, lines - rows + rejected, example)


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0

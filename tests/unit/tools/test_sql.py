"""sql.query: what it answers, and what it cannot be made to do."""

import asyncio
import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from orchestrator_services.tools import query
from orchestrator_services.tools.duck import calculate
from orchestrator_services.tools.settings import ToolSettings

from orchestrator.sdk import InvalidInput, PermanentError

LOG_LINE = '10.0.0.7 - - [2026-11-02T10:15:30.123Z] "GET /orders/17?x=1 HTTP/1.1" 200 5120 37.4\n'


@pytest.fixture
def data(root: Path) -> Path:
    (root / "people.csv").write_text("name,age,born\nAda,36,1815-12-10\nAlan,41,1912-06-23\n")
    (root / "cities.json").write_text(json.dumps([{"name": "Ada", "city": "London", "tags": ["x", "y"]}]))
    (root / "lines.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (root / "packed.csv.gz").write_bytes(gzip.compress(b"n\n1\n2\n"))
    (root / "access.log").write_text(LOG_LINE)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 7 AS n) TO '{root / 'seven.parquet'}'")
    return root


async def test_a_table_of_one_file(data: Path) -> None:
    result = await query("SELECT name, age + 1 AS next FROM data ORDER BY age", file="people.csv")

    assert result.columns == ["name", "next"]
    assert result.rows == [{"name": "Ada", "next": 37}, {"name": "Alan", "next": 42}]
    assert (result.row_count, result.truncated) == (2, False)


async def test_several_files_by_name(data: Path) -> None:
    result = await query(
        "SELECT city, born FROM people JOIN cities USING (name)",
        files={"people": "people.csv", "cities": "cities.json"},
    )

    assert result.rows == [{"city": "London", "born": "1815-12-10"}]


@pytest.mark.parametrize(
    ("file", "expected"), [("lines.jsonl", 3), ("packed.csv.gz", 3), ("seven.parquet", 7)]
)
async def test_every_format(data: Path, file: str, expected: int) -> None:
    assert (await query("SELECT sum(n) AS n FROM data", file=file)).rows == [{"n": expected}]


async def test_an_access_log_is_a_table(data: Path) -> None:
    assert (await query("SELECT * FROM data", file="access.log")).rows == [
        {
            "time": "2026-11-02T10:15:30.123000Z",
            "host": "10.0.0.7",
            "method": "GET",
            "path": "/orders/17?x=1",
            "route": "/orders/{id}",
            "status": 200,
            "bytes": 5120,
            "latency_ms": 37.4,
        }
    ]


async def test_every_value_is_json(data: Path) -> None:
    result = await query(
        """
        SELECT 1.5 AS decimal, 3::HUGEINT AS huge, INTERVAL 90 MINUTE AS span, DATE '2026-01-02' AS day,
            TIME '10:00' AS clock, TIMESTAMP '2026-01-02 03:04:05' AS local,
            TIMESTAMPTZ '2026-01-02 03:04:05+02' AS instant, [1.5, NULL] AS list, {'a': 'nan'::DOUBLE} AS struct,
            MAP {DATE '2026-01-02': 1} AS map, 'ab'::BLOB AS blob, 'infinity'::DOUBLE AS endless,
            '00000000-0000-0000-0000-000000000001'::UUID AS id, true AS yes, NULL AS nothing
        """,
        file="people.csv",
    )

    expected = {
        "decimal": 1.5, "huge": 3, "span": 5400.0, "day": "2026-01-02", "clock": "10:00:00",
        "local": "2026-01-02T03:04:05", "instant": "2026-01-02T01:04:05Z", "list": [1.5, None],
        "struct": {"a": None}, "map": {"2026-01-02": 1}, "blob": "6162", "endless": None,
        "id": "00000000-0000-0000-0000-000000000001", "yes": True, "nothing": None,
    }  # fmt: skip
    assert result.rows == [expected]
    assert json.loads(result.model_dump_json())["rows"] == [expected]


@pytest.mark.usefixtures("data")
class TestLimits:
    async def test_rows(self) -> None:
        result = await query("SELECT * FROM range(1000000000)", file="people.csv", max_rows=3)

        assert (result.row_count, result.truncated) == (3, True)
        assert not (await query("SELECT * FROM range(3)", file="people.csv", max_rows=3)).truncated

    async def test_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "10000")

        result = await query("SELECT repeat('x', 1000) AS x FROM range(1000)", file="people.csv")

        assert (result.row_count, result.truncated) == (9, True)

    async def test_one_row_that_is_too_large(self) -> None:
        with pytest.raises(PermanentError, match=r"the first row alone is larger than 1048576 bytes"):
            await query("SELECT repeat('x', 50000000) AS x", file="people.csv")

    async def test_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_SQL_MEMORY", "50MB")

        with pytest.raises(
            PermanentError, match=r"more than 50MB of memory; .* ORCHESTRATOR_TOOLS_SQL_MEMORY"
        ):
            await query("SELECT * FROM range(50000000) t(i) ORDER BY hash(i)", file="people.csv")

    async def test_size_of_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_FILE_BYTES", "10")

        with pytest.raises(InvalidInput, match=r"more than the limit of 10"):
            await query("SELECT 1 AS one", file="people.csv")

    async def test_cancelling_stops_the_query_and_its_thread(self) -> None:
        threads = threading.active_count()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await query(
                    "SELECT count(*) AS n FROM range(1000000000000) t(i) WHERE i % 7 = 3", file="people.csv"
                )

        assert time.monotonic() - started < 5
        assert (await query("SELECT 1 AS one", file="people.csv")).rows == [{"one": 1}]
        assert threading.active_count() <= threads + 2

    async def test_cancelling_just_as_the_query_ends_is_a_cancellation(self) -> None:
        closed, ends = threading.Event(), threading.Event()

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            connection.close()
            closed.set()
            ends.wait()

        running = asyncio.create_task(calculate(ToolSettings(), work))
        await asyncio.to_thread(closed.wait)
        running.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        ends.set()

        with pytest.raises(asyncio.CancelledError):
            await running


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM read_text('people.csv')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT getenv('HOME')",
        "SELECT * FROM settings",
        "SELECT * FROM tables",
    ],
)
async def test_sql_reads_nothing_but_its_tables(data: Path, sql: str) -> None:
    outside = data.parent / "outside" / "secret.csv"

    with pytest.raises(InvalidInput):
        await query(sql.format(outside=outside), file="people.csv")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY data TO '{outside}'",
        "COPY (SELECT 1) TO '/dev/stdout'",
        "ATTACH '{outside}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "EXPORT DATABASE '{outside}'",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "",
    ],
)
async def test_only_a_single_select_is_taken(data: Path, sql: str) -> None:
    outside = data.parent / "outside" / "secret.csv"
    before = outside.read_bytes()

    with pytest.raises(InvalidInput, match=r"exactly one SELECT statement"):
        await query(sql.format(outside=outside), file="people.csv")

    assert outside.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"sql": "SELECT 1"}, "name a file"),
        ({"sql": "SELECT 1", "file": "people.csv", "files": {"data": "lines.jsonl"}}, "another name"),
        ({"sql": "SELECT nope FROM data", "file": "people.csv"}, 'Referenced column "nope" not found'),
        ({"sql": "SELEC", "file": "people.csv"}, "syntax error"),
        ({"sql": "SELECT 1 AS a, 2 AS a", "file": "people.csv"}, "two columns have the same name"),
        ({"sql": "SELECT 1", "file": "../outside/secret.csv"}, "outside the allowed folder"),
        ({"sql": "SELECT 1", "file": "missing.csv"}, "does not exist"),
        ({"sql": "SELECT 1", "file": "people.txt"}, "no suffix of a known format: .csv"),
        (
            {"sql": "SELECT 1", "file": "broken.json"},
            "'broken.json' cannot be read as json: line 1 is not JSON: .* .the file is cut off.",
        ),
        (
            {"sql": "SELECT 1", "file": "prose.log"},
            "no access-log line .lines in other formats: 1; line 1 is in no accepted format: 'hello'",
        ),
        ({"sql": "SELECT 1", "file": "*.csv"}, "one of the characters"),
    ],
)
async def test_mistakes_are_explained(data: Path, arguments: dict[str, Any], reason: str) -> None:
    (data / "people.txt").write_text("x")
    (data / "broken.json").write_text('{"a":')
    (data / "prose.log").write_text("hello\n")
    (data / "*.csv").write_text("a\n1\n")

    with pytest.raises(InvalidInput, match=reason) as refusal:
        await query(**arguments)

    assert str(data) not in str(refusal.value)


async def test_infinities_of_dates_and_times_are_null_as_those_of_numbers(data: Path) -> None:
    result = await query(
        """
        SELECT 'infinity'::DATE AS day, '-infinity'::DATE AS before, 'infinity'::TIMESTAMP AS local,
            '-infinity'::TIMESTAMPTZ AS instant, '-infinity'::TIMESTAMP_NS AS fine, 'infinity'::TIMESTAMP_S AS coarse,
            ['infinity'::DATE, '9999-12-31'] AS list, {'it''s': 'infinity'::TIMESTAMP_MS, 'n': 1} AS struct,
            MAP {1: '-infinity'::DATE, 2: '2026-01-02'} AS map, NULL::DATE[] AS nothing,
            NULL::STRUCT(a DATE) AS none, [{'a': [MAP {'b': 'infinity'::DATE}]}] AS deep,
            DATE '9999-12-31' AS last, TIMESTAMP '0001-01-01' AS first, 1 AS n, 2 AS N; -- a comment
        """,
        file="people.csv",
    )

    assert result.rows == [
        {
            "day": None, "before": None, "local": None, "instant": None, "fine": None, "coarse": None,
            "list": [None, "9999-12-31"], "struct": {"it's": None, "n": 1}, "map": {"1": None, "2": "2026-01-02"},
            "nothing": None, "none": None, "deep": [{"a": [{"b": None}]}],
            "last": "9999-12-31", "first": "0001-01-01T00:00:00", "n": 1, "N": 2,
        }
    ]  # fmt: skip


async def test_nanoseconds_and_far_dates_are_kept(data: Path) -> None:
    result = await query(
        """
        SELECT '2024-01-01 00:00:00.123456789'::TIMESTAMP_NS AS fine, make_timestamp_ns(-1) AS before,
            '2024-01-01 00:00:00.5'::TIMESTAMP_NS AS half, '2024-01-01'::TIMESTAMP_NS AS whole,
            ['10:00:00.123456789'::TIME_NS, '10:00:00'] AS times,
            {'t': '2024-01-01 00:00:00.000000001'::TIMESTAMP_NS} AS s,
            '5881580-07-10'::DATE AS far, '0001-01-01 (BC)'::DATE AS zero, '0044-03-15 (BC)'::DATE AS ides,
            '290000-01-01 10:00:00.25'::TIMESTAMP AS local, '290000-01-01 10:00:00.25Z'::TIMESTAMPTZ AS instant,
            TIMESTAMP '0044-03-15 (BC) 10:00:00' AS murder, NULL::TIMESTAMP_NS AS nothing
        """,
        file="people.csv",
    )

    assert result.rows == [
        {
            "fine": "2024-01-01T00:00:00.123456789", "before": "1969-12-31T23:59:59.999999999",
            "half": "2024-01-01T00:00:00.500000", "whole": "2024-01-01T00:00:00",
            "times": ["10:00:00.123456789", "10:00:00"], "s": {"t": "2024-01-01T00:00:00.000000001"},
            "far": "+5881580-07-10", "zero": "0000-01-01", "ides": "-0043-03-15",
            "local": "+290000-01-01T10:00:00.25", "instant": "+290000-01-01T10:00:00.25Z",
            "murder": "-0043-03-15T10:00:00", "nothing": None,
        }
    ]  # fmt: skip


async def test_rows_with_dates_keep_their_order(data: Path) -> None:
    result = await query(
        "SELECT i, DATE '2026-01-01' + i::INT AS day FROM range(10000) t(i) ORDER BY i % 7, i DESC LIMIT 5000",
        file="people.csv",
        max_rows=100_000,
    )

    found = [row["i"] for row in result.rows]
    assert found == sorted(range(10_000), key=lambda i: (i % 7, -i))[:5000]


async def test_keys_of_maps_are_text(data: Path) -> None:
    result = await query(
        """
        SELECT MAP {[1, 2]: 3, [2]: 4} AS lists, MAP {{'a': 'ü'}: 1} AS structs, MAP {1: 2} AS numbers,
            MAP {'key': 1, 'value': 2} AS texts, MAP {[1]: MAP {[2]: 3}} AS maps, [MAP {[1]: 2}] AS inside,
            {'key': [1], 'value': [2]} AS struct, MAP {'infinity'::DOUBLE: 1, 'nan'::DOUBLE: 2} AS odd
        """,
        file="people.csv",
    )

    assert result.rows == [
        {
            "lists": {"[1, 2]": 3, "[2]": 4}, "structs": {'{"a": "ü"}': 1}, "numbers": {"1": 2},
            "texts": {"key": 1, "value": 2}, "maps": {"[1]": {"[2]": 3}}, "inside": [{"[1]": 2}],
            "struct": {"key": [1], "value": [2]}, "odd": {"inf": 1, "nan": 2},
        }
    ]  # fmt: skip


async def test_no_type_of_the_database_loses_digits_or_entries(data: Path) -> None:
    fine, finer = "'2024-01-01 00:00:00.123456789'", "'2024-01-01 00:00:00.123456788'"
    result = await query(
        f"""
        SELECT {fine}::TIMESTAMPTZ_NS AS instant, [{fine}::TIMESTAMPTZ_NS] AS instants,
            'infinity'::TIMESTAMPTZ_NS AS never, row('infinity'::DATE, {fine}::TIMESTAMP_NS) AS unnamed,
            NULL::UNION(n INTEGER, t TIMESTAMP_NS) AS nothing, union_value(n := 1)::UNION(n INTEGER, t DATE) AS number,
            union_value(t := {fine}::TIMESTAMP_NS) AS member, NULL::MAP(INTEGER, INTEGER) AS none,
            MAP {{{fine}::TIMESTAMP_NS: 1, {finer}::TIMESTAMP_NS: 2}} AS times,
            MAP {{12345678901234567.01::DECIMAL(20, 2): 1, 12345678901234567.02::DECIMAL(20, 2): 2}} AS decimals,
            MAP {{'infinity'::DATE: 1, DATE '9999-12-31': 2}} AS days, MAP {{true: 1}} AS truths,
            MAP {{row(1, 2): MAP {{'a': 3}}}} AS inside
        """,
        file="people.csv",
    )

    assert result.rows == [
        {
            "instant": "2024-01-01T00:00:00.123456789Z", "instants": ["2024-01-01T00:00:00.123456789Z"],
            "never": None, "unnamed": [None, "2024-01-01T00:00:00.123456789"],
            "nothing": None, "number": 1, "member": "2024-01-01T00:00:00.123456789", "none": None,
            "times": {"2024-01-01T00:00:00.123456789": 1, "2024-01-01T00:00:00.123456788": 2},
            "decimals": {"12345678901234567.01": 1, "12345678901234567.02": 2},
            "days": {"infinity": 1, "9999-12-31": 2}, "truths": {"true": 1}, "inside": {"[1, 2]": {"a": 3}},
        }
    ]  # fmt: skip


async def test_a_map_whose_keys_would_be_one_text_is_refused(data: Path) -> None:
    one, text = (
        "union_value(n := 1)::UNION(n INTEGER, t VARCHAR)",
        "union_value(t := '1')::UNION(n INTEGER, t VARCHAR)",
    )

    with pytest.raises(InvalidInput, match="two keys of a map are the same text, '1': select map_entries"):
        await query(f"SELECT MAP {{{one}: 1, {text}: 2}} AS twice", file="people.csv")


async def test_settings_do_not_tell_where_anything_is_on_this_machine(data: Path) -> None:
    result = await query(
        """
        SELECT name, value FROM duckdb_settings()
        UNION ALL SELECT 'database ' || database_name, path FROM duckdb_databases()
        UNION ALL SELECT 'secrets', current_setting('secret_directory')
        """,
        file="people.csv",
    )

    assert {"secret_directory", "secrets"} <= {row["name"] for row in result.rows}
    home = str(Path.home())
    told = {
        row["name"]: row["value"]
        for row in result.rows
        if home in str(row["value"]) or str(row["value"]).startswith(("/", "~"))
    }
    assert told == {}

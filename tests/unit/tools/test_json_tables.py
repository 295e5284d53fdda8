"""JSON, Parquet and log files as tables: records in are rows out, or the line that is not a record is named."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from orchestrator_services.tools import change_point, query, statistics
from orchestrator_services.tools.sql import QueryResult

from orchestrator.sdk import InvalidInput

LOG_LINE = b'10.0.0.7 - - [2026-11-02T10:15:30.123Z] "GET /orders/17 HTTP/1.1" 200 5120 37.4\n'


async def table(root: Path, content: bytes, name: str = "data.json", **options: Any) -> QueryResult:
    """All rows of a file with this content."""
    (root / name).write_bytes(content)
    return await query("SELECT * FROM data", file=name, **options)


LINES = b"".join(b'{"id": %d}\n' % number for number in range(100))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LINES + b'{"id": 1', "line 101 is not JSON: .*the file is cut off"),
        (
            b'[{"a": 1},\n{"a": 2}',
            "line 2 is not JSON: a comma or the array's end is missing .the file is cut off",
        ),
        (b'[{"a": 1},\n{"a": 2}\n{"a": 3}]', "line 3 is not JSON: a comma"),
        (b'[{"a": 1},\n]', "line 2 is not JSON"),
        (b'{"a": 1,}', "line 1 is not JSON"),
        (b'{"a": 1},\n{"a": 2}\n', "line 1 is not JSON|line 2 is not JSON"),
        (LINES + b'{"id": 1, "id": 2}\n', "line 101 has the key 'id' twice in one object"),
        (b'[{"a": {"b": 1, "b": 2}}]', "line 1 has the key 'b' twice"),
        (b'{"a": NaN}', "line 1 has NaN, which is not JSON: write null"),
        (b'{"a": NaN, "b"}', "line 1 is not JSON"),
        (b'{"a": 1e999, "b": [' + b"[" * 3_000, "line 1 is nested too deeply|line 1 is not JSON"),
        (b'{"a": 1}\n{"a": -Infinity}', "line 2 has -Infinity"),
        (b'{"a": 1e400}', "line 1 has the number 1e400, which is too large"),
        (b'{"a": 123456789012345678901234567890}', "line 1 has an integer of 30 characters"),
        (b'{"a": -9223372036854775809}', "line 1 has an integer of 20 characters"),
        (
            b'{"a": 1.5}\n{"a": 9007199254740993}',
            "line 2 has 9007199254740993 where other records have fractions",
        ),
        (b'[{"a": {"b": [1.5]}},\n{"a": {"b": [9007199254740993]}}]', "line 2 has 9007199254740993 where"),
        (b"[1.5, 9007199254740993]", "line 1 has 9007199254740993 where"),
        (
            b'{"a": 1234567890123456.25}',
            "line 1 has the number 1234567890123456.25, whose digits SQL does not keep",
        ),
        (b'{"a": 1e-400}', "line 1 has the number 1e-400, whose digits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1 has an integer of 5000 characters"),
        (b'{"a": 1}\n5\n', "line 2 is no object, as the record in line 1 is"),
        (
            b'{"a": 1, "A": 2}',
            "line 1 has the key 'A', and line 1 has 'a': names of columns do not differ by case",
        ),
        (b'{"a": 1, "A": "1-2-3"}', "line 1 has the key 'A', and line 1 has 'a'"),
        (b'{"a": 1}\n{"b": 1}\n{"A": 2}', "line 3 has the key 'A', and line 1 has 'a'"),
        (b'[{"a": "x"},\n{"A": "y"}]', "line 2 has the key 'A', and line 1 has 'a'"),
        (b'{"a_1": 1, "a": 2, "A": 3}', "line 1 has the key 'A', and line 1 has 'a'"),
        (b'{"a": {"x": 1}}\n{"a": {"X": 2}}', "line 2 has the key 'X', and line 1 has 'x'"),
        (
            b'{"a": {"b": [{"x": 1}]}}\n{"a": {"b": [{}, {"X": 2}]}}',
            "line 2 has the key 'X', and line 1 has 'x'",
        ),
        (b'5\n{"a": 1}\n', "line 2 is an object, and the record in line 1 is not"),
        (b'{"a": "x"}\n{"a": "\xff"}\n', "line 2 is not UTF-8 text"),
        (b'{"a": "x"}\n{"a": "\\ud800"}\n', "line 2 has a lone surrogate"),
        (b"[" * 100_000, "line 1 is nested too deeply"),
        (b"", "it is empty"),
    ],
)
async def test_a_file_with_what_is_no_record_is_refused_with_the_line(
    root: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"'data.json' cannot be read as json: ({reason})"):
        await table(root, content)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (LINES, 100),
        (b'\xef\xbb\xbf[{"a": 1}]', [{"a": 1}]),
        ('\ufeff{"a": "é"}'.encode("utf-16-le"), [{"a": "é"}]),
        (b'{"a": 1} {"a": 2}\n\n{"a": 3}', [{"a": 1}, {"a": 2}, {"a": 3}]),
        (b"[]", 0),
        (
            b'1\n2.5\n"x"\nnull\n[1]\ntrue',
            [{"json": one} for one in ("1", "2.5", '"x"', None, "[1]", "true")],
        ),
        (b"1 2\n", [{"json": 1}, {"json": 2}]),
        (b'"x"\n"y"', [{"json": "x"}, {"json": "y"}]),
        (b"1\n2.5", [{"json": 1.0}, {"json": 2.5}]),
        (
            b'{"a_1": 1, "a": 2}\n{"a_2": 3}',
            [{"a_1": 1, "a": 2, "a_2": None}, {"a_1": None, "a": None, "a_2": 3}],
        ),
        ('{"é": 1, "É": 2}'.encode(), [{"é": 1, "É": 2}]),
        (b"[[1, 2], [3]]", [{"json": [1, 2]}, {"json": [3]}]),
        (b'{\n "a": 1\n}\n', [{"a": 1}]),
        (b'{"a": 18446744073709551615}', [{"a": 18446744073709551615}]),
        (b'{"a": 18446744073709551615}\n{"a": -1}', [{"a": 18446744073709551615}, {"a": -1}]),
        (b'{"a": 1}\n{"a": "x"}', [{"a": "1"}, {"a": '"x"'}]),
        (b'{"a": 1}\n' * 25_000 + b'{"a": 1.5, "late": true}', 25_001),
        (b'{"text": "' + b"x" * 20_000_000 + b'"}', None),
    ],
)
async def test_records_in_are_rows_out(root: Path, content: bytes, rows: Any) -> None:
    (root / "data.json").write_bytes(content)

    count = (await query("SELECT count(*) AS n FROM data", file="data.json")).rows[0]["n"]

    if isinstance(rows, list):
        assert (await query("SELECT * FROM data", file="data.json")).rows == rows
    assert count == (1 if rows is None else rows if isinstance(rows, int) else len(rows))


async def test_keys_of_maps_may_differ_by_case(root: Path) -> None:
    records = [{"m": {f"key {number} {of}": 1 for of in range(300)}} for number in range(5)]
    content = "\n".join(map(json.dumps, [*records, {"m": {"x": 1, "X": 2}}])).encode()

    result = await query("SELECT m FROM data LIMIT 1 OFFSET 5", file=_written(root, content))

    assert result.rows == [{"m": {"x": 1, "X": 2}}]


async def test_values_that_are_no_objects_are_rows_where_others_are_left_out(root: Path) -> None:
    result = await table(root, b'1\nNaN\n{"a": 1}\n"x"\n', lenient=True)

    assert result.rows == [{"json": "1"}, {"json": '"x"'}]
    assert [one.split(",")[0] for one in result.left_out[0].first] == [
        "line 2 has NaN",
        "line 3 is an object",
    ]


TEXTS = [
    "01-12-2024", "01-13-2024", "1-2-3", "epoch", " epoch ", "infinity", "-infinity", "10:00:00.123456789",
    "2024-01-01T00:00:00.123456789Z", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "01-02-24 01:02:03", "2024-1-1", "12",
    "true", "", "2024-02-30",
]  # fmt: skip


@pytest.mark.parametrize("value", TEXTS)
async def test_texts_stay_what_they_are(root: Path, value: str) -> None:
    record = {"a": value, "b": [value], "c": {"d": value, 'it\'s "e"': [{"f": value}]}, "n": 1, "g": None}

    result = await table(root, json.dumps(record).encode())

    assert result.rows == [record]


async def test_texts_of_values_and_maps_stay_what_they_are(root: Path) -> None:
    assert (await table(root, b'["1-2-3", "4-5-6"]')).rows == [{"json": "1-2-3"}, {"json": "4-5-6"}]
    many = {f"key {number}": "1-2-3" for number in range(300)}
    records = b"\n".join(
        json.dumps({f"{key} {n}": one for key, one in many.items()}).encode() for n in range(3)
    )

    result = await query(
        "SELECT count(*) AS n, min(json['key 7 1']) AS text FROM data", file=_written(root, records)
    )

    assert result.rows == [{"n": 3, "text": "1-2-3"}]


def _written(root: Path, content: bytes) -> str:
    (root / "data.json").write_bytes(content)
    return "data.json"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2026-01-02", "2026-02-28"], "DATE"),
        (["2026-01-02", "01-02-2026"], "VARCHAR"),
        (["03:04:05", "23:59"], "TIME"),
        (["2026-01-02T03:04:05", "2026-01-02"], "TIMESTAMP"),
        (["2026-01-02T03:04:05+02:00"], "TIMESTAMP WITH TIME ZONE"),
        (["2026-01-02T03:04:05.123456789Z"], "VARCHAR"),
        (["1", "2"], "VARCHAR"),
    ],
)
async def test_dates_and_times_are_those_of_csv(root: Path, values: list[str], expected: str) -> None:
    content = json.dumps([{"a": value} for value in values]).encode()

    result = await query("SELECT DISTINCT typeof(a) AS kind FROM data", file=_written(root, content))

    assert result.rows == [{"kind": expected}]


async def test_large_integers_beside_fractions_of_other_columns_are_kept(root: Path) -> None:
    record = {
        "o": {"id": 9007199254740993, "price": 1.5},
        "text": "9007199254740993",
        "big": 9007199254740994,
    }

    assert (await table(root, json.dumps(record).encode())).rows == [record]


async def test_a_key_of_the_last_record_is_a_column(root: Path) -> None:
    content = b'{"a": 1}\n' * 25_000 + b'{"a": 2, "late": true}'

    (root / "data.jsonl").write_bytes(content)

    assert (await query("SELECT late FROM data WHERE a = 2", file="data.jsonl")).rows == [{"late": True}]


async def test_what_is_left_out_of_json_is_reported(root: Path) -> None:
    lines = [b'{"a": 1}', b'{"a": 1, "a": 2}', b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"7", b'{"a": 2}']

    result = await table(root, b"\n".join(lines), lenient=True)

    assert [row["a"] for row in result.rows] == [1, 2]
    (report,) = result.left_out
    assert report.rows == 5
    assert [reason[:6] for reason in report.first] == ["line 2", "line 3", "line 4", "line 5", "line 6"]


async def test_an_array_keeps_its_other_records(root: Path) -> None:
    result = await table(root, b'[{"a": 1},\n{"a": NaN},\n{"a": 3}]', lenient=True)

    assert result.rows == [{"a": 1}, {"a": 3}]
    assert result.left_out[0].first == ["line 2 has NaN, which is not JSON: write null"]


async def test_json_that_is_packed_and_cut_off(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be read as json: it cannot be unpacked"):
        await table(root, gzip.compress(LINES)[:-20], "data.jsonl.gz")


@pytest.mark.parametrize("kept", [0, 3, 50, -1])
async def test_a_parquet_file_that_is_cut_off(root: Path, kept: int) -> None:
    with duckdb.connect() as connection:
        connection.sql("SELECT * FROM range(1000) t(n)").write_parquet(str(root / "whole.parquet"))
    (root / "cut.parquet").write_bytes((root / "whole.parquet").read_bytes()[:kept])

    with pytest.raises(InvalidInput, match=r"'cut.parquet' cannot be read as parquet"):
        await query("SELECT * FROM data", file="cut.parquet")


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


async def test_lists_of_a_parquet_file_are_read_up_to_a_depth(root: Path) -> None:
    with duckdb.connect() as connection:
        connection.sql(f"SELECT 1 AS n, {{'a': {nested(10)}, 'b': {{'c': [2]}}}} AS sound").write_parquet(
            str(root / "sound.parquet")
        )
        connection.sql(f"SELECT {{'a': [3]}} AS sound, {{'b': {nested(11)}}} AS deep, 4 AS n").write_parquet(
            str(root / "deep.parquet")
        )

    assert (await query("SELECT n, sound.b.c[1] AS c FROM data", file="sound.parquet")).rows == [
        {"n": 1, "c": 2}
    ]
    # 25 of them take minutes: the schema is looked at before any value.
    with pytest.raises(
        InvalidInput,
        match=r"'deep.parquet' cannot be read as parquet: the column 'deep' has more than 10 lists",
    ):
        await query("SELECT n FROM data", file="deep.parquet")


class TestLogs:
    LINES = LOG_LINE + b"\n" + LOG_LINE + b"caf\xe9\nnot a request\n" + LOG_LINE + b"{\n"

    async def test_sql_refuses_a_log_with_a_line_that_it_cannot_read(self, root: Path) -> None:
        with pytest.raises(
            InvalidInput, match=r"'data.log' cannot be read as access-log: line 4 is not UTF-8 text"
        ):
            await table(root, self.LINES, "data.log")

    async def test_lenient_sql_reports_them(self, root: Path) -> None:
        result = await table(root, self.LINES, "data.log", lenient=True)

        assert result.row_count == 3
        assert (result.left_out[0].rows, [reason[:6] for reason in result.left_out[0].first]) == (
            3,
            ["line 4", "line 5", "line 7"],
        )

    async def test_figures_report_them(self, root: Path) -> None:
        (root / "data.log").write_bytes(self.LINES)

        result = await statistics("data.log")

        assert (result.total.count, result.malformed_lines) == (3, 3)
        assert result.malformed[1] == "line 5 is in no accepted format: 'not a request'"

    async def test_a_change_point_says_how_many_lines_it_left_out(self, root: Path) -> None:
        line = '10.0.0.7 - - [2026-11-02T10:{:02}:{:02}Z] "GET / HTTP/1.1" 200 1 10.0\n'
        lines = "".join(line.format(minute, second) for minute in range(60) for second in range(0, 60, 5))
        (root / "data.log").write_text(f"{lines}not a request\n")

        assert (await change_point("data.log")).malformed_lines == 1

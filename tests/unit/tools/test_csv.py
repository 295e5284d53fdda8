"""CSV files: rows in are rows out, or the line that is not a row is named."""

import gzip
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orchestrator_services.tools import query
from orchestrator_services.tools.csv_tables import CsvForm
from orchestrator_services.tools.sql import QueryResult

from orchestrator.sdk import InvalidInput


async def table(root: Path, content: bytes, name: str = "data.csv", **options: Any) -> QueryResult:
    """All rows of a file with this content."""
    (root / name).write_bytes(content)
    return await query("SELECT * FROM data", file=name, max_rows=100_000, **options)


GOOD = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(1000))


REFUSED = [
    pytest.param(
        GOOD + b"1000,x,y\n", "line 1002 has 3 fields where the header has 2", id="ragged last line"
    ),
    pytest.param(GOOD + b"1000\n", "line 1002 has 1 fields where the header has 2", id="cut off last line"),
    pytest.param(b"name,city\nAda,London,UK\n", "line 2 has 3 fields", id="every row is wider"),
    pytest.param(b"note\nhello\nhello, world\n", "line 3 has 2 fields", id="one column"),
    pytest.param(b'a,b\n1,"x\n2,y\n', "line 2 opens a quote that is never closed", id="open quote"),
    pytest.param(b'a,b\n1,"x" y\n', "line 2 has text after a closing quote", id="text after a quote"),
    pytest.param(b'a,b\n1,"x \\"y\\" z"\n', "line 2 has text after a closing quote", id="backslash"),
    pytest.param(b"a,b\n1,x\n2,caf\xe9\n", "line 3 is not UTF-8 text .byte e9 in column 6.", id="latin-1"),
    pytest.param(b"a,b\n1,x\x00y\n", "line 2 has a NUL character", id="NUL"),
    pytest.param("a,b\n1,2\n".encode("utf-16-le"), "NUL character", id="UTF-16 without a mark"),
    pytest.param(b"a,a\n1,2\n", "line 1, the header, names two columns 'a'", id="the same name"),
    pytest.param(b"name,Name\n1,2\n", "names two columns 'Name'", id="names that differ in case"),
    pytest.param(b"1,2\n3,4\n", "line 1 may be a header or data: '1'", id="no header"),
    pytest.param(b"Ada,36\nAlan,41\n", "line 1 may be a header or data: '36'", id="no header, with names"),
    pytest.param(b"2020,5\n2021,6\n", "line 1 may be a header or data: '2020'", id="no header, with years"),
    pytest.param(b"a;b,c\n1;2,3\n", "',' and ';' separate its columns equally well", id="two separators"),
    pytest.param(b"", "it is empty", id="empty"),
    pytest.param(b"\n \n\n", "it is empty", id="blank"),
    pytest.param(b"a,b\n1," + b"x" * 2_000_000 + b"\n", "line 2 has a field of more than", id="huge field"),
]


@pytest.mark.parametrize(("content", "reason"), REFUSED)
async def test_a_file_that_is_no_table_is_refused_with_the_line(
    root: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"'data.csv' cannot be read as csv: .*{reason}"):
        await table(root, content)


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        pytest.param(GOOD, ["id", "name"], 1000, id="good"),
        pytest.param(b"\xef\xbb\xbf" + b'"a","b"\n1,2\n3,4\n', ["a", "b"], 2, id="BOM and quoted header"),
        pytest.param("\ufeffa,b\n1,é\n".encode("utf-16-le"), ["a", "b"], 1, id="UTF-16"),
        pytest.param(b"2024,2025,2026\n1,2,3\n4,5,6\n", ["2024", "2025", "2026"], 2, id="years"),
        pytest.param(b"country,2024,2025\nDE,10,20\n", ["country", "2024", "2025"], 1, id="a name and years"),
        pytest.param(b"a,b\r1,2\r3,4\r", ["a", "b"], 2, id="carriage returns"),
        pytest.param(b"a,b\r\n1,2\n3,4\r5,6", ["a", "b"], 3, id="mixed line ends"),
        pytest.param(b'"a\nb",c\n1,2\n3,4\n', ["a\nb", "c"], 2, id="header of two lines"),
        pytest.param(b'a,b\n"x\n\ny",2\n3,4\n', ["a", "b"], 2, id="newlines in a field"),
        pytest.param(b"a,b\n\n1,2\n\n\n3,4\n\n", ["a", "b"], 2, id="blank lines"),
        pytest.param(b"a\n1\n\n3\n\n\n", ["a"], 3, id="blank lines of one column are rows, but at the end"),
        pytest.param(b",b\nx,1\ny,2\n", ["column_1", "b"], 2, id="a column without a name"),
        pytest.param(b"a,b,\n1,2,\n", ["a", "b", "column_3"], 1, id="a comma at the end of lines"),
        pytest.param(b"name;price\nx;1,5\ny;2,5\n", ["name", "price"], 2, id="semicolons and decimal commas"),
        pytest.param(b"a|b,c\n1,1|2,2\n3|4\n", ["a", "b,c"], 2, id="one separator fits, the other does not"),
        pytest.param(b'name, city\n"Ada", "London, UK"\n', ["name", "city"], 1, id="spaces after commas"),
        pytest.param(b'a,b\n5" pipe,2\n', ["a", "b"], 1, id="a quote inside of a field"),
        pytest.param(b"a,b\n", ["a", "b"], 0, id="only a header"),
        pytest.param(b"c2,c1\n1,x\n", ["c2", "c1"], 1, id="names like those inside"),
        pytest.param(b" 2,  1\nx,y\n", ["2", "1"], 1, id="numbers as names, with spaces"),
        pytest.param(b'a "b",c\n1,x\n', ['a "b"', "c"], 1, id="quotes in a name"),
    ],
)
async def test_rows_in_are_rows_out(root: Path, content: bytes, columns: list[str], rows: int) -> None:
    result = await table(root, content)

    assert (result.columns, result.row_count) == (columns, rows)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", " 3"], [1, -2, 3]),
        (["+49123456789", "+1"], ["+49123456789", "+1"]),
        (["1.5", "+1.5"], ["1.5", "+1.5"]),
        (["1.5", "0.30000000000000004", "-0.10000000000000001"], [1.5, 0.30000000000000004, -0.1]),
        (["1e+5", "2.50000000000000000000"], [100000.0, 2.5]),
        (["1", "9223372036854775808"], [1, 9223372036854775808]),
        (["1", "9" * 40], ["1", "9" * 40]),
        (["1", "1.5", "2e3"], [1.0, 1.5, 2000.0]),
        (["1.5", "9007199254740993"], ["1.5", "9007199254740993"]),
        *(
            (["1.5", number], ["1.5", number])
            for number in (
                "12345678901234567890.5",
                "1234567890123456.25",
                "0.12345678901234567890123",
                "1e-400",
                "1.2345678e-320",
                "9007199254740993.0",
                "-1234567890123456789e3",
            )
        ),
        (["01234", "99999"], ["01234", "99999"]),
        (["1", "NaN"], ["1", "NaN"]),
        (["1", "1e400"], ["1", "1e400"]),
        (["1", "٣"], ["1", "٣"]),
        (["true", "False"], [True, False]),
        (["2026-01-02", "2026-02-29"], ["2026-01-02", "2026-02-29"]),
        (["2026-01-02 03:04", "2026-01-02"], ["2026-01-02T03:04:00", "2026-01-02T00:00:00"]),
        (["2026-01-02T03:04:05+02:00"], ["2026-01-02T01:04:05Z"]),
        (["03:04:05", "23:59"], ["03:04:05", "23:59:00"]),
        (["1", "", "3"], [1, None, 3]),
        (["", ""], [None, None]),
    ],
)
async def test_a_type_is_that_of_all_values_and_loses_none(
    root: Path, values: list[str], expected: list[Any]
) -> None:
    lines = "".join(f'{number},"{value}"\n' for number, value in enumerate(values))

    result = await table(root, f"no,value\n{lines}".encode())

    assert [row["value"] for row in result.rows] == expected


async def test_the_last_value_of_a_long_file_counts(root: Path) -> None:
    result = await table(root, b"n\n" + b"1\n" * 30_000 + b"none\n")

    assert (result.row_count, result.rows[-1]) == (30_001, {"n": "none"})


@pytest.mark.parametrize(
    ("content", "form", "expected"),
    [
        (b"1,2\n3,4\n", {"header": False}, [{"column_1": 1, "column_2": 2}, {"column_1": 3, "column_2": 4}]),
        (b"1,2\n3,4\n", {"header": True}, [{"1": 3, "2": 4}]),
        (b"a;b,c\n1;2,3\n", {"separator": ";"}, [{"a": 1, "b,c": "2,3"}]),
        (b"a\ncaf\xe9\n", {"encoding": "latin-1"}, [{"a": "café"}]),
        (b"a\n\x80\n", {"encoding": "windows-1252"}, [{"a": "€"}]),
        ("a\né\n".encode("utf-16-le"), {"encoding": "utf-16"}, [{"a": "é"}]),
    ],
)
async def test_what_a_file_does_not_say_is_said_by_the_call(
    root: Path, content: bytes, form: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    assert (await table(root, content, csv=CsvForm(**form))).rows == expected


async def test_a_tsv_has_tabs(root: Path) -> None:
    assert (await table(root, b"a,b\tc\n1\t2\n", "data.tsv")).columns == ["a,b", "c"]


class TestLenient:
    @pytest.mark.parametrize("content", [one.values[0] for one in REFUSED])
    async def test_it_is_advised_where_it_helps_and_nowhere_else(self, root: Path, content: bytes) -> None:
        with pytest.raises(InvalidInput) as refused:
            await table(root, content)

        if "`lenient`" in str(refused.value):
            await table(root, content, lenient=True)
        else:
            with pytest.raises(InvalidInput):
                await table(root, content, lenient=True)

    async def test_what_is_left_out_is_reported(self, root: Path) -> None:
        content = b'a,b\n1,x\n2\n3,y,z\n4,caf\xe9\n5,x\x00\n6,"x"y\n7,z\n'

        result = await table(root, content, lenient=True)

        assert [row["a"] for row in result.rows] == [1, 7]
        (report,) = result.left_out
        assert (report.file, report.rows) == ("data.csv", 5)
        assert [reason.partition(" ")[2].partition(" ")[0] for reason in report.first] == list("34567")

    async def test_rows_and_what_is_left_out_are_all_lines(self, root: Path) -> None:
        bad = b"".join(b"only\n" if number % 7 == 0 else b"%d,x\n" % number for number in range(1000))

        result = await table(root, b"a,b\n" + bad, lenient=True)

        (report,) = result.left_out
        assert result.row_count + report.rows == 1000
        assert len(report.first) == 20

    async def test_a_good_file_has_nothing_to_report(self, root: Path) -> None:
        assert (await table(root, GOOD, lenient=True)).left_out == []

    async def test_a_refusal_says_that_there_is_a_lenient_form(self, root: Path) -> None:
        with pytest.raises(InvalidInput, match=r"`lenient` leaves such rows out and reports them"):
            await table(root, b"a,b\n1\n")


class TestPacked:
    async def test_a_file_that_is_cut_off(self, root: Path) -> None:
        with pytest.raises(InvalidInput, match=r"it cannot be unpacked"):
            await table(root, gzip.compress(GOOD)[:-100], "data.csv.gz")

    async def test_a_file_that_is_not_packed(self, root: Path) -> None:
        with pytest.raises(InvalidInput, match=r"it cannot be unpacked"):
            await table(root, GOOD, "data.csv.gz")

    async def test_a_file_that_unpacks_to_more_than_a_file_may_have(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_FILE_BYTES", "100000")

        with pytest.raises(InvalidInput, match=r"unpacks to more than the limit of 100000 bytes"):
            await table(root, gzip.compress(b"a\n" + b"1\n" * 1_000_000), "data.csv.gz")


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=8)
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_written_as_csv_is_read(root: Path, rows: list[list[str]]) -> None:
    """Any text, in quotes: the same cells come out, as text or as a value that is written like it."""
    width = len(rows[0]) if rows else 1
    header = ",".join(f"h{number}" for number in range(width))
    quoted = ["".join(('"' + cell.replace('"', '""') + '",') for cell in row)[:-1] for row in rows]

    result = await table(root, "\n".join([header, *quoted, ""]).encode())

    assert result.row_count == len(rows)
    for found, row in zip(result.rows, rows, strict=True):
        for value, cell in zip(found.values(), row, strict=True):
            if isinstance(value, str):
                assert value == cell
            elif value is None:
                assert cell == ""
            else:
                assert math.isclose(float(value), float(cell))

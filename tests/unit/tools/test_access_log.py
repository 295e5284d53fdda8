"""Lines of access logs: each becomes a row that says what it says, or is named with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from orchestrator_services.tools import query, statistics

from orchestrator.sdk import InvalidInput

SOUND = {"time": "2026-11-02T10:15:30Z", "path": "/a", "status": 200, "latency_ms": 1.5}


async def row_of(root: Path, line: str) -> dict[str, Any]:
    """The row of a log with this line, between two sound ones."""
    sound = json.dumps(SOUND)
    (root / "x.log").write_text(f"{sound}\n{line}\n{sound}\n")
    return (await query("SELECT * FROM data", file="x.log")).rows[1]


def common(
    time: str = "2026-11-02T10:15:30Z",
    request: str = "GET /a HTTP/1.1",
    status: str = "200",
    size: str = "5",
    latency: str = "1.5",
) -> str:
    return f'127.0.0.1 - - [{time}] "{request}" {status} {size} {latency}'


def record(**values: object) -> str:
    return json.dumps(SOUND | values)


@pytest.mark.parametrize(
    "time",
    [
        "epoch", "now", "infinity", "2026-11-02", "20261102", "1762078530", "2026-02-30T10:15:30Z",
        "2026-11-02T10:15:30+99:00", "2026-11-02T10:15:30+24:00", "2026-11-02T10:15:30+01:60",
        "2026-11-02T10:15:30+01:00:30", "2026-11-02T10:15:30 Europe/Berlin", "10/Oct/2000:13:55:36 +9900",
        "10/Oct/2000:13:55:36 +0160", "10/Oct/2000:13:55:36", "31/Feb/2000:13:55:36 +0000",
    ],
)  # fmt: skip
async def test_a_time_in_another_form_is_none(root: Path, time: str) -> None:
    for line in (common(time=time), record(time=time)):
        with pytest.raises(InvalidInput, match=r"line 2 is in no accepted format for its time: "):
            await row_of(root, line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (common(status="099"), "is in no accepted format for its status"),
        (common(status="999"), "is in no accepted format for its status"),
        (common(size="99999999999999999999"), "is in no accepted format for its bytes"),
        (common(latency="0.12345678901234567890"), "is in no accepted format for its latency_ms"),
        (common(latency="9" * 400), "is in no accepted format for its latency_ms"),
        (common(request="GET /a b HTTP/1.1"), "is in no accepted format: "),
        (common(request="GET /a b"), "is in no accepted format: "),
        (record(status=499.5), "is in no accepted format for its status"),
        (record(status=200.0), "is in no accepted format for its status"),
        (record(status=-500), "is in no accepted format for its status"),
        (record(status=99999), "is in no accepted format for its status"),
        (record(status="5e2"), "is in no accepted format for its status"),
        (record(status=True), "is in no accepted format for its status"),
        (record(bytes="12.6"), "is in no accepted format for its bytes"),
        (record(bytes=-1), "is in no accepted format for its bytes"),
        (record(bytes=10**19), "is in no accepted format for its bytes"),
        (record(latency_ms="1_000"), "is in no accepted format for its latency_ms"),
        (record(latency_ms="0x10"), "is in no accepted format for its latency_ms"),
        (record(latency_ms=2**53 + 1), "has the number 9007199254740993, whose digits SQL does not keep"),
        ('{"duration_ms": 1.00000000000000000001}', "has the number 1.00000000000000000001, whose digits"),
        (record(path={"x": 1}), "is in no accepted format for its path"),
        (record(path=["/a"]), "is in no accepted format for its path"),
        (record(host=5, method={}), "is in no accepted format for its host, method"),
        (record(time=["2026-11-02T10:15:30Z"]), "is in no accepted format for its time"),
        (record()[:-1] + ', "time": "2027-11-02T10:15:30Z"}', "has the key 'time' twice in one object"),
        (record()[:-1] + ', "x": {"y": 1, "y": 2}}', "has the key 'y' twice in one object"),
        (record(x=float("nan")), "has NaN, which is not JSON: write null"),
        (record()[:-1] + ",}", "is not JSON: "),
        (record() + record(), "has something behind its record"),
        (record(x="\ud800"), "has a lone surrogate"),
        ('{"x": ' + "[" * 100_000, "is nested too deeply|is not JSON"),
        ("{}", "is in no accepted format for its time, path, status, latency_ms"),
    ],
)
async def test_a_line_that_another_format_would_refuse_is_named(root: Path, line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"'x.log' cannot be read as access-log: line 2 ({reason})"):
        await row_of(root, line)

    assert (await statistics("x.log")).malformed_lines == 1


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (common(time="2026-11-02 10:15"), {"time": "2026-11-02T10:15:00Z"}),
        (common(time="2026-11-02T10:15:30+0530"), {"time": "2026-11-02T04:45:30Z"}),
        (common(time="10/Oct/2000:13:55:36 -0030"), {"time": "2000-10-10T14:25:36Z"}),
        (common(time="2026-11-02T10:15:30.123456789Z"), {"time": "2026-11-02T10:15:30.123456Z"}),
        (common(request="GET /a"), {"path": "/a"}),
        (common(request='GET /a\\"b HTTP/3'), {"path": '/a\\"b'}),
        (common(size="-", latency="0.30000000000000004"), {"bytes": None, "latency_ms": 0.30000000000000004}),
        (record(bytes="-"), {"bytes": None}),
        (record(status="503", bytes="9223372036854775807"), {"status": 503, "bytes": 2**63 - 1}),
        (record(latency_ms=None, duration_ms=" 7e1 ", path=None, url="/u"), {"latency_ms": 70.0, "path": "/u"}),
        # What no column holds may be any JSON.
        (record(trace=10**40, share=0.12345678901234567890, x="\U0001f600", y="\\ud800"), {"status": 200}),
    ],
)  # fmt: skip
async def test_a_row_has_what_its_line_says(root: Path, line: str, values: dict[str, Any]) -> None:
    row = await row_of(root, line)

    assert {name: row[name] for name in values} == values


async def test_lines_of_json_keep_their_order_when_some_are_left_out(root: Path) -> None:
    lines = [record(status=100 + n % 400, latency_ms=n) for n in range(5_000)]
    bad = [record(x=float("nan"))] * 30
    (root / "x.log").write_text("\n".join([*lines[:2_000], *bad, *lines[2_000:]]))

    result = await query("SELECT latency_ms FROM data", file="x.log", max_rows=10_000, lenient=True)

    assert [row["latency_ms"] for row in result.rows] == list(range(5_000))
    assert (result.left_out[0].rows, len(result.left_out[0].first)) == (30, 20)
    assert result.left_out[0].first[0].startswith("line 2001 has NaN, which is not JSON")


@pytest.mark.parametrize("zone", ["+99:00", "+24:00", "-01:60"])
async def test_an_offset_that_is_none_makes_a_column_text_in_other_files(root: Path, zone: str) -> None:
    text = f"2026-11-02T10:15:30{zone}"
    (root / "x.csv").write_text(f"a\n{text}\n")
    (root / "x.jsonl").write_text(json.dumps({"a": text}))

    for file in ("x.csv", "x.jsonl"):
        assert (await query("SELECT a FROM data", file=file)).rows == [{"a": text}]

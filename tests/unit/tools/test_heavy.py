"""Heavy tools by the executor: one that computes for ever or wants all memory costs nobody but itself."""

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest
from orchestrator_services.tools import change_point, query, search, statistics

from orchestrator.messages import events
from orchestrator.messages.types import FailureKind
from orchestrator.sdk import Tool
from tests.unit.services.support import plain
from tests.unit.services.test_isolated_tools import run

DISTANCE = "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000)) AS n FROM data"
HUGE = "SELECT printf('%2000000000d', 1) AS n FROM data"


@pytest.fixture
def table(root: Path) -> str:
    (root / "data.csv").write_text("n\n1\n2\n")
    return "data.csv"


async def test_queries_that_compute_for_ever_do_not_starve_others(table: str) -> None:
    endless = [asyncio.create_task(run(query, {"sql": DISTANCE, "file": table})) for _ in range(6)]

    done = await run(query, {"sql": "SELECT sum(n) AS n FROM data", "file": table})

    assert plain(done.output)["rows"] == [{"n": 3}]
    assert not any(one.done() for one in endless)
    for one in endless:
        one.cancel()
    await asyncio.wait(endless)


async def test_a_query_is_killed_at_its_deadline(table: str) -> None:
    failed = await run(query, {"sql": DISTANCE, "file": table}, timeout_ms=3_000)

    assert isinstance(failed, events.ToolFailed)
    assert (failed.failure.kind, failed.failure.code) == (FailureKind.TRANSIENT, "timeout")


@pytest.mark.parametrize(
    "sql",
    [HUGE, "SELECT repeat('x', 2000000000) AS n FROM data", "SELECT list(range(300000000)) AS n FROM data"],
)
async def test_a_value_of_gigabytes_is_one_clear_failure(table: str, sql: str) -> None:
    failed = await run(query, {"sql": sql, "file": table})

    assert isinstance(failed, events.ToolFailed)
    assert failed.failure.kind is FailureKind.PERMANENT
    assert "memory" in failed.failure.message
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert most < 2 << 20, f"kilobytes of the largest process: {most}"


@pytest.mark.parametrize("of", [query, search, statistics, change_point])
def test_tools_that_compute_over_files_have_processes_of_their_own(of: Tool) -> None:
    assert of.isolation is not None


async def test_what_a_heavy_tool_refuses_is_told_as_before(table: str) -> None:
    async def refused(sql: str) -> Any:
        return (await run(query, {"sql": sql, "file": table})).failure

    assert (await refused("DROP TABLE data")).kind is FailureKind.INVALID_INPUT
    assert (await refused("SELECT * FROM '/etc/passwd'")).kind is FailureKind.INVALID_INPUT

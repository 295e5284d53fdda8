"""Outputs that are too large for a message pass from step to step through each value store; and lost ones."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client, Handle, TaskError
from orchestrator.messages import events
from orchestrator.sdk import Plan, PlanRequest, planner, step, tool
from orchestrator.sdk.registry import Plugin
from tests.support.embedded_platform import embedded_platform
from tests.support.s3_server import S3Server

AGENT = "{agent: reader, planner: reader, limits: {deadline: 60s}}"
LINES = 2_000
LINE = "x" * 100
_numbers = itertools.count()


@dataclass
class Store:
    """A value store, and ways to damage it behind the platform's back."""

    url: str
    paths: Callable[[], list[str]]
    alter: Callable[[str], object]
    delete: Callable[[str], object]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(
            url=str(tmp_path),
            paths=lambda: [str(path) for path in tmp_path.rglob("*") if path.is_file()],
            alter=lambda path: Path(path).write_bytes(b'["altered"]'),
            delete=lambda path: Path(path).unlink(),
        )
    s3: S3Server = request.getfixturevalue("s3")
    bucket = s3.bucket(f"large-{next(_numbers)}")
    return Store(
        url=s3.url(bucket, "values"),
        paths=lambda: s3.keys(bucket),
        alter=lambda key: s3.client.put_object(Bucket=bucket, Key=key, Body=b'["altered"]'),
        delete=lambda key: s3.client.delete_object(Bucket=bucket, Key=key),
    )


def reading(incident: Callable[[], object]) -> tuple[Plugin, ...]:
    """A plan that makes a large value, runs `incident`, and reads the value again."""

    @tool()
    def read_lines() -> list[str]:
        return [LINE] * LINES

    @tool()
    def wait(first: str) -> bool:
        incident()
        return bool(first)

    @tool()
    def count(lines: list[str], waited: bool) -> int:
        return len("".join(lines)) if waited else 0

    @planner("reader")
    async def plan(request: PlanRequest) -> Plan:
        lines = step("lines", read_lines)
        waited = step("waited", wait, first=lines.output.at("/0"))
        counted = step("counted", count, lines=lines.output, waited=waited.output)
        return Plan([lines, waited, counted], result=counted.output)

    return read_lines, wait, count, plan


async def settled(store: Store, incident: Callable[[], object]) -> tuple[Any, list[Any]]:
    """The result or the error of a session, and its events."""
    with embedded_platform(store.url, AGENT, *reading(incident)) as (wiring, _):
        async with Client(wiring) as client:
            handle: Handle = await client.submit("count", agent="reader")
            try:
                outcome: Any = await handle.result(50)
            except TaskError as error:
                outcome = error
            return outcome, [event async for event in handle.events()]


async def test_a_large_output_travels_by_reference(store: Store) -> None:
    outcome, seen = await settled(store, lambda: None)

    assert outcome == LINES * len(LINE)
    [made] = [e for e in seen if isinstance(e, events.ToolCompleted) and e.tool == "read_lines"]
    assert made.output.inline is None
    assert made.output.size > 200_000
    assert made.output.uri
    assert [path.endswith(made.output.uri.removeprefix("values:")) for path in store.paths()] == [True]


@pytest.mark.parametrize(
    ("change", "says"), [("alter", "was altered"), ("delete", "is not in the value store")]
)
async def test_a_lost_value_fails_the_step_that_reads_it(store: Store, change: str, says: str) -> None:
    lose = getattr(store, change)

    outcome, seen = await settled(store, lambda: [lose(path) for path in store.paths()])

    assert isinstance(outcome, TaskError)
    failures = [e for e in seen if isinstance(e, events.ToolFailed)]
    assert {(each.tool, each.failure.code) for each in failures} == {("count", "contract")}
    assert says in failures[0].failure.message
    assert says in outcome.failure.message

"""What a session writes grows no faster than what its steps produce."""

import random
import string
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk import Plan, PlanRequest, planner, step, tool
from orchestrator.sdk.registry import Plugin
from tests.support.embedded_platform import embedded_platform

OUTPUT_BYTES = 10_000
AGENT = "{agent: chain, planner: chain, limits: {deadline: 10m, tool_calls: 2000}}"
MOST_BYTES_PER_BYTE = 8.0


def chain(calls: int) -> tuple[Plugin, ...]:
    """A plan of steps that each turn the 10 KB of the step before into another 10 KB."""
    chance = random.Random(1)  # noqa: S311 - random text, so that equal outputs are not stored once

    @tool()
    def extend(text: str) -> str:
        fresh = "".join(chance.choices(string.ascii_letters, k=OUTPUT_BYTES - 2))
        return fresh if text else ""

    @planner("chain")
    async def plan(request: PlanRequest) -> Plan:
        steps = [step("s0", extend, text="begin")]
        for number in range(1, calls):
            steps.append(step(f"s{number}", extend, text=steps[-1].output))
        return Plan(steps, result=steps[-1].output)

    return extend, plan


async def written(calls: int, folder: Path) -> Counter[str]:
    """Bytes that all services write for a session of `calls` tool calls, by topic."""
    with embedded_platform(str(folder), AGENT, *chain(calls)) as (wiring, sizes):
        before = Counter(sizes)
        async with Client(wiring) as client:
            handle = await client.submit("go on", agent="chain")
            result = await handle.result(300)
        assert len(result) == OUTPUT_BYTES - 2
    return sizes - before + Counter({"value store": _kept_in(folder)})


def _kept_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def factor(sizes: Counter[str], calls: int) -> float:
    """Bytes written per byte that a step produced."""
    return sizes.total() / (calls * OUTPUT_BYTES)


@pytest.mark.parametrize("calls", [100, pytest.param(1_000, marks=pytest.mark.soak)])
async def test_a_session_writes_in_proportion_to_what_its_steps_produce(calls: int, tmp_path: Path) -> None:
    """Messages take as many bytes per step, however many steps there are. Snapshots take at most as many bytes as
    the history, since one is written only when the events since the last outweigh it."""
    short = await written(20, tmp_path / "short")
    long = await written(calls, tmp_path / "long")

    assert factor(long, calls) < MOST_BYTES_PER_BYTE
    snapshots, history = long.pop(Topic.SNAPSHOTS), long[Topic.SESSIONS]
    assert snapshots < history
    short.pop(Topic.SNAPSHOTS)
    assert factor(long, calls) <= factor(short, 20)

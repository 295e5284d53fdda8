"""Large results: bounded in every process alike, and made JSON of where nothing else waits for it."""

import threading
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from orchestrator_services import tool_executor

from orchestrator.messages import events
from orchestrator.messages.types import FailureKind
from orchestrator.sdk import Tool, tool
from tests.support.isolated_replies import TOO_MANY, forges_many, long, many
from tests.unit.services.support import World
from tests.unit.services.test_tool_executor import execution

SECONDS = 300_000
"""Timeout of runs that shall end for another reason, milliseconds."""
ROWS = [{"n": 1}] * 20_000


def watched(threads: list[threading.Thread], rows: Any = None) -> Any:
    """A model that records the thread in which JSON is made of it."""

    class Watched(pydantic.BaseModel):
        rows: Any

        @pydantic.model_serializer
        def _written(self) -> dict[str, Any]:
            threads.append(threading.current_thread())
            return {"rows": self.rows}

    return Watched(rows=rows)


async def run(of: Tool, arguments: Any = None) -> Any:
    message = execution(of.name, arguments or {}, timeout_ms=SECONDS)
    return await World(of).reply(tool_executor.service, message)


@pytest.mark.parametrize(
    "large",
    [
        lambda: ROWS,
        lambda: (row for row in ROWS),
        lambda: dict.fromkeys(range(20_000)),
        lambda: ["x" * 999_999] * 2,
    ],
    ids=["a list", "an iterator", "a dict of numbers", "long texts"],
)
async def test_a_large_result_of_a_coroutine_is_made_json_of_in_a_thread(large: Callable[[], Any]) -> None:
    threads: list[threading.Thread] = []

    @tool("made")
    async def made() -> Any:
        return {"x": [watched(threads), large()]}

    completed = await run(made)

    assert isinstance(completed, events.ToolCompleted), completed
    assert threads
    assert threading.current_thread() not in threads


async def test_a_small_one_costs_no_thread() -> None:
    threads: list[threading.Thread] = []

    @tool("made")
    async def made() -> Any:
        return watched(threads, ROWS[:100])

    assert isinstance(await run(made), events.ToolCompleted)
    assert set(threads) == {threading.current_thread()}


async def test_too_many_values_fail_alike_in_a_process_of_its_own_and_without() -> None:
    @tool("isolated.many")
    def here(values: int) -> Any:
        return [{}] * values

    alone, together = [(await run(one, {"values": TOO_MANY})).failure for one in (many, here)]

    assert (alone.kind, alone.code) == (FailureKind.PERMANENT, "output_limit")
    assert alone == together


async def test_too_many_values_that_a_process_writes_itself_are_refused_unread() -> None:
    failed = (await run(forges_many, {"values": TOO_MANY + 100})).failure

    assert (failed.kind, failed.code) == (FailureKind.PERMANENT, "output_limit")
    assert "it has more than 1,000,000 values: return less, such as a page or a summary" in failed.message


@pytest.mark.parametrize(("of", "name", "size"), [(many, "values", 600_000), (long, "characters", 3_000_000)])
async def test_as_much_as_others_may_return_comes_back(of: Tool, name: str, size: int) -> None:
    completed = await run(of, {name: size})

    assert isinstance(completed, events.ToolCompleted), completed
    assert completed.output.size >= size

"""The tool executor: runs what it is asked to within its limits, and says exactly how it ended."""

import asyncio
import dataclasses
import gc
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
import pytest
from orchestrator_services import tool_executor
from orchestrator_services.tool_executor import handlers
from orchestrator_services.tool_executor.supervision import Rhythm

from orchestrator.errors import UnavailableError
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.types import CallKind, FailureKind, Value
from orchestrator.messages.values import json_value
from orchestrator.sdk import (
    Context,
    InvalidInput,
    Output,
    PermanentError,
    Tool,
    TransientError,
    UnknownOutcome,
    document,
    tool,
)
from tests.unit.services.support import START, MemoryValues, World, call, command, plain


def execution(name: str, arguments: Any = None, **fields: Any) -> commands.ExecuteTool:
    given = {
        "call": call(CallKind.TOOL, tool=name),
        "arguments": document({} if arguments is None else arguments),
        "idempotency_key": "key-1",
        "timeout_ms": 5_000,
        **fields,
    }
    message: commands.ExecuteTool = command(commands.ExecuteTool, **given)
    return message


async def run(of: Tool, arguments: Any = None, world: World | None = None, **fields: Any) -> Any:
    return await (world or World(of)).reply(tool_executor.service, execution(of.name, arguments, **fields))


def raising(error: BaseException, **declared: Any) -> Tool:
    @tool("raises", **declared)
    def raises() -> None:
        raise error

    return raises


@tool("add")
def add(a: int, b: int = 1) -> int:
    return a + b


@tool("wait")
async def wait(seconds: float = 30.0) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def test_a_blocking_function_runs_beside_the_loop() -> None:
    @tool()
    def thread_name() -> str:
        return threading.current_thread().name

    completed = await run(thread_name)

    assert plain(completed.output) == "tool-thread_name"


async def test_a_coroutine_function_runs_and_its_use_is_reported() -> None:
    @tool()
    async def think(context: Context) -> dict[str, str]:
        context.use(tokens_input=10, tokens_output=5, cost_usd=0.25)
        return {"key": context.idempotency_key}

    completed = await run(think)

    assert isinstance(completed, events.ToolCompleted)
    assert plain(completed.output) == {"key": "key-1"}
    assert (completed.usage.tool_calls, completed.usage.tokens_input) == (1, 10)
    assert (completed.usage.tokens_output, completed.usage.cost_micro_usd) == (5, 250_000)


async def test_references_are_filled_from_outputs_of_steps() -> None:
    arguments = {"a": Output("first").at("/n"), "b": Output("second")}
    inputs = {"first": json_value({"n": 40}), "second": json_value(2)}

    completed = await run(add, arguments, inputs=inputs)

    assert plain(completed.output) == 42


async def test_the_time_that_a_run_took_is_reported() -> None:
    world = World()

    @tool()
    def slow() -> None:
        world.time += 1_500_000

    world.plugins.add(slow)
    completed = await run(slow, world=world)

    assert completed.usage.duration_ms == 1_500


@dataclasses.dataclass
class Point:
    x: int
    at: datetime


class Model(pydantic.BaseModel):
    path: Path


async def test_what_python_has_becomes_json() -> None:
    @tool()
    def everything() -> Any:
        def rows() -> Iterator[int]:
            yield from (1, 2)

        return {
            "point": Point(1, datetime(2026, 1, 2, tzinfo=UTC)),
            "model": Model(path=Path("a")),
            "n": rows(),
        }

    completed = await run(everything)

    assert plain(completed.output) == {
        "point": {"x": 1, "at": "2026-01-02T00:00:00Z"},
        "model": {"path": "a"},
        "n": [1, 2],
    }


@pytest.mark.parametrize("result", [object(), b"\xff", "\ud800"], ids=["object", "bytes", "surrogate"])
async def test_what_json_cannot_hold_is_a_permanent_failure(result: Any) -> None:
    @tool()
    def strange() -> Any:
        return result

    failed = await run(strange)

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.PERMANENT, "output_not_json")


async def test_an_expired_command_is_not_run() -> None:
    failed = await run(add, {"a": 1}, not_after=START - 1)

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.TRANSIENT, "expired")
    assert failed.usage.tool_calls == 0


async def test_a_tool_that_is_not_loaded_here_is_refused() -> None:
    failed = await World(add).reply(tool_executor.service, execution("sub"))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.PERMANENT, "tool_not_here")
    assert failed.tool == "sub"


async def test_another_version_than_the_selected_one_is_tried_again_elsewhere() -> None:
    failed = await run(add, {"a": 1}, tool_version="2")

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.TRANSIENT, "tool_version_differs")


async def test_arguments_that_do_not_fit_name_each_problem() -> None:
    failed = await run(add, {"a": "x", "c": 1})

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.INVALID_INPUT, "arguments_do_not_fit")
    assert "a: " in failed.failure.message
    assert "c: " in failed.failure.message
    assert failed.usage.tool_calls == 0


async def test_a_reference_that_finds_nothing_is_invalid_input() -> None:
    failed = await run(add, {"a": Output("first").at("/nope")}, inputs={"first": json_value({})})

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.INVALID_INPUT, "arguments_not_filled")
    assert "the output of step first has nothing at /nope" in failed.failure.message
    assert failed.arguments == document({"a": Output("first").at("/nope")})
    assert failed.inputs == {"first": json_value({})}


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InvalidInput("no", code="bad"), FailureKind.INVALID_INPUT, "bad"),
        (TransientError("later"), FailureKind.TRANSIENT, "transient"),
        (PermanentError("never"), FailureKind.PERMANENT, "permanent"),
        (UnknownOutcome("who knows"), FailureKind.UNKNOWN_OUTCOME, "unknown_outcome"),
        (TimeoutError(), FailureKind.TRANSIENT, "unavailable"),
        (ConnectionResetError("peer"), FailureKind.TRANSIENT, "unavailable"),
        (OSError(113, "no route"), FailureKind.TRANSIENT, "unavailable"),
        (FileNotFoundError("x"), FailureKind.PERMANENT, "tool_error"),
        (ValueError("odd"), FailureKind.PERMANENT, "tool_error"),
        (StopIteration(), FailureKind.PERMANENT, "tool_error"),
        (SystemExit(3), FailureKind.PERMANENT, "tool_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_each_exception_has_its_class(error: BaseException, kind: FailureKind, code: str) -> None:
    failed = await run(raising(error))

    assert isinstance(failed, events.ToolFailed)
    assert (failed.failure.kind, failed.failure.code) == (kind, code)
    assert failed.usage.tool_calls == 1


async def test_a_network_error_below_a_client_library_s_own_is_transient() -> None:
    @tool()
    async def wrapped() -> None:
        raise RuntimeError("request failed") from ConnectionRefusedError("refused")

    failed = await run(wrapped)

    assert failed.failure.kind is FailureKind.TRANSIENT


async def test_a_failure_has_type_and_message_but_no_stack_and_no_credentials() -> None:
    failed = await run(raising(ValueError("cannot read https://me:secret@example.org/x")))

    assert failed.failure.message == "ValueError: cannot read https://***@example.org/x"


@pytest.mark.parametrize(
    "error", [ConnectionResetError("peer"), KeyError("parsing the answer"), SystemExit()]
)
async def test_what_breaks_in_an_at_most_once_tool_may_have_happened(error: BaseException) -> None:
    failed = await run(raising(error, at_most_once=True))

    assert failed.failure.kind is FailureKind.UNKNOWN_OUTCOME


async def test_an_at_most_once_tool_may_say_itself_that_nothing_happened() -> None:
    failed = await run(raising(TransientError("refused before sending"), at_most_once=True))

    assert failed.failure.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("selected_as_such", [True, False])
async def test_arguments_that_an_at_most_once_tool_refused_in_its_run_are_kept_back(
    selected_as_such: bool,
) -> None:
    refusing = raising(InvalidInput("no such item"), at_most_once=not selected_as_such)

    failed = await run(refusing, at_most_once=selected_as_such)

    assert failed.failure.kind is FailureKind.INVALID_INPUT
    assert (failed.arguments, failed.inputs) == (None, {})
    assert failed.usage.tool_calls == 1


async def test_arguments_that_did_not_fit_before_the_only_run_are_with_the_failure() -> None:
    failed = await run(add, {"a": "x"}, at_most_once=True)

    assert failed.failure.code == "arguments_do_not_fit"
    assert failed.arguments == document({"a": "x"})


@pytest.mark.parametrize(("at_most_once", "kind"), [(False, "TRANSIENT"), (True, "UNKNOWN_OUTCOME")])
async def test_a_run_ends_at_its_time_limit(at_most_once: bool, kind: str) -> None:
    failed = await run(wait, timeout_ms=10, at_most_once=at_most_once)

    assert (failed.failure.kind, failed.failure.code) == (kind, "timeout")
    assert "10 ms" in failed.failure.message


async def test_a_blocking_run_that_times_out_delays_no_other() -> None:
    released = threading.Event()

    @tool()
    def stuck() -> None:
        released.wait(10)

    began = time.monotonic()
    failed = await run(stuck, timeout_ms=20)
    elapsed = time.monotonic() - began
    released.set()

    assert failed.failure.code == "timeout"
    assert elapsed < 5


async def test_a_late_coroutine_is_cancelled() -> None:
    ended = asyncio.Event()

    @tool()
    async def careful() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    await run(careful, timeout_ms=10)

    await asyncio.wait_for(ended.wait(), 5)


async def test_cancelling_the_call_cancels_the_run_and_sends_no_reply() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @tool()
    async def long() -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    handling = asyncio.ensure_future(run(long))
    await started.wait()
    handling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await handling
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_run_that_fails_as_its_call_is_cancelled_leaves_no_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handlings: list[asyncio.Future[Any]] = []

    @tool()
    async def unlucky() -> None:
        handlings[0].cancel()
        raise TransientError("just now")

    handlings.append(asyncio.ensure_future(run(unlucky)))
    with pytest.raises(asyncio.CancelledError):
        await handlings[0]
    await asyncio.sleep(0)
    gc.collect()

    assert caplog.text == ""


async def test_a_tool_that_cancels_itself_has_failed() -> None:
    @tool()
    async def odd() -> None:
        raise asyncio.CancelledError

    failed = await run(odd)

    assert failed.failure.message == "CancelledError: it cancelled itself"


async def test_a_long_run_shows_that_it_started_and_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "RHYTHM", Rhythm(first=0.01, every=0.01))
    world = World(wait)

    completed = await run(wait, {"seconds": 0.08}, world)

    assert isinstance(completed, events.ToolCompleted)
    emitted: list[Any] = list(world.emitted)
    first, *others = emitted
    assert isinstance(first, events.ToolStarted)
    assert {type(one) for one in others} == {events.ToolHeartbeat}
    assert {one.worker for one in others} == {"test-0"}
    assert len({one.event_id for one in (first, *others)}) == len(world.emitted)


async def test_signs_of_life_do_not_change_the_id_of_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = await run(wait, {"seconds": 0.0})
    monkeypatch.setattr(handlers, "RHYTHM", Rhythm(first=0.005, every=0.005))
    lively = await run(wait, {"seconds": 0.05})

    assert quiet.event_id == lively.event_id


async def test_a_broker_that_does_not_answer_stretches_no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "RHYTHM", Rhythm(first=0.01, every=0.01))

    class Deaf(World):
        async def _emit(self, message: Message) -> None:
            await asyncio.sleep(30)
            await super()._emit(message)

    failed = await asyncio.wait_for(run(wait, world=Deaf(wait), timeout_ms=50), 5)

    assert failed.failure.code == "timeout"


async def test_a_short_run_is_silent() -> None:
    world = World(add)

    await run(add, {"a": 1}, world)

    assert world.emitted == []


class FullStore(MemoryValues):
    async def store(self, content: Any) -> Value:
        raise UnavailableError(f"the value store does not take {content}")


@pytest.mark.parametrize(("at_most_once", "kind"), [(False, "TRANSIENT"), (True, "UNKNOWN_OUTCOME")])
async def test_an_output_that_cannot_be_kept_is_a_failure(at_most_once: bool, kind: str) -> None:
    world = World(add)
    world.values = FullStore()

    failed = await run(add, {"a": 1}, world, at_most_once=at_most_once)

    assert failed.failure.kind == kind


def test_the_tools_of_a_process_are_announced_with_stable_ids() -> None:
    world = World(add, wait)

    first = list(tool_executor.service.announcement(world.platform))
    world.time += 1
    second = list(tool_executor.service.announcement(world.platform))

    assert [one.tool.name for one in first if isinstance(one, events.ToolDefined)] == ["add", "wait"]
    assert [one.message_id for one in first] == [one.message_id for one in second]


async def test_arguments_whose_references_stand_for_too_much_are_refused_before_anything_is_loaded() -> None:
    @tool("any.thing")
    def anything(x: list[Any]) -> int:
        return len(x)

    stored = Value(media_type="application/json", uri="file:///nowhere", size=1_000_000, sha256="")

    failed = await run(anything, {"x": [Output("a")] * 3000}, inputs={"a": stored})

    assert isinstance(failed, events.ToolFailed)
    assert failed.failure.kind is FailureKind.INVALID_INPUT
    assert failed.failure.code == "arguments_not_filled"
    assert "stand for more than 32 MiB together" in failed.failure.message


async def test_arguments_whose_references_to_parts_stand_for_too_much_are_refused() -> None:
    @tool("any.thing")
    def anything(x: list[Any]) -> int:
        return len(x)

    inputs = {"a": json_value({"text": "A" * 1_000_000, "name": "x"})}

    failed = await run(anything, {"x": [Output("a").at("/text")] * 3000}, inputs=inputs)
    completed = await run(anything, {"x": [Output("a").at("/name")] * 3000}, inputs=inputs)

    assert failed.failure.kind is FailureKind.INVALID_INPUT
    assert "stand for more than 32 MiB together" in failed.failure.message
    assert plain(completed.output) == 3000

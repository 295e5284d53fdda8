"""Whatever a handler raises or returns, its record ends once, in outputs or a dead letter, and the offset moves on."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.messages import commands, events, types
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.values import json_value
from orchestrator.sdk import (
    ConfigurationError,
    Event,
    PermanentError,
    Service,
    ServiceContext,
    UnavailableError,
    middleware,
    subscriber,
)
from tests.support.raised import RAISED, Panic
from tests.support.workers import Lab, echo, number_of, until


def offsets_committed(lab: Lab, service: Service) -> int:
    return sum(offset for offset, _ in lab.committed(service.consumer_group).values())


def dead_lettered(lab: Lab) -> Counter[int]:
    """How many dead letters there are for the record of each number."""
    numbers = {
        record.offset: number_of(lab.codec.decode(record)) for record in lab.read(Topic.EXECUTE_COMMANDS)
    }
    return Counter(numbers[letter.original.offset] for letter in lab.messages(Topic.DEAD_LETTERS))


@pytest.mark.parametrize("ordered", [False, True])
def test_whatever_a_handler_raises_becomes_one_dead_letter(
    lab: Lab, caplog: pytest.LogCaptureFixture, ordered: bool
) -> None:
    makers = list(RAISED.values())

    async def fail(number: int) -> None:
        if number < len(makers):
            raise makers[number]()

    service = echo(before=fail, ordered=ordered)
    numbers = range(len(makers) + 2)
    with lab.running(service):
        lab.execute(*numbers, partition=0)
        until(lambda: offsets_committed(lab, service) == len(numbers), "the offset moves on")

    assert dead_lettered(lab) == dict.fromkeys(range(len(makers)), 1)
    assert lab.completed() == list(numbers)[-2:]
    assert len([line for line in caplog.messages if line.startswith("echo could not handle")]) == len(makers)
    assert all(len(letter.failure.message) <= 2_000 for letter in lab.messages(Topic.DEAD_LETTERS))


def test_what_was_raised_on_purpose_is_one_line_and_what_was_not_has_its_stack(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    raised = [
        ConfigurationError("no model to ask: set ORCHESTRATOR_SAFETY_MODEL"),
        PermanentError("the account is closed"),
        UnavailableError("the store does not respond"),
        ZeroDivisionError("a mistake in the code"),
    ]

    async def fail(number: int) -> None:
        raise raised[number]

    service = echo(before=fail, ordered=True)
    with lab.running(service):
        lab.execute(*range(len(raised)), partition=0)
        until(lambda: offsets_committed(lab, service) == len(raised), "the offset moves on")

    entries = [entry for entry in caplog.records if entry.getMessage().startswith("echo could not handle")]
    assert [entry.exc_info is not None for entry in entries] == [False, False, False, True]
    for entry, error in zip(entries, raised, strict=True):
        assert str(error) in entry.getMessage()
        assert "\n" not in entry.getMessage()


def test_a_handler_that_cancels_its_own_task_becomes_a_dead_letter(lab: Lab) -> None:
    async def cancel_itself(number: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        if number < 2:
            task.cancel()
        if number == 1:
            await asyncio.sleep(0)

    service = echo(before=cancel_itself)
    with lab.running(service):
        lab.execute(0, 1, 2, partition=0)
        until(lambda: offsets_committed(lab, service) == 3, "the offset moves on")

    assert lab.completed() == [0, 2]  # the first one returned before its cancellation came
    assert dead_lettered(lab) == {1: 1}


def test_what_a_subscriber_raises_becomes_a_dead_letter(lab: Lab) -> None:
    makers = list(RAISED.values())
    seen: list[int] = []

    @subscriber("ExecuteTool", group="watcher")
    async def watch(event: Event) -> None:
        number = number_of(event)
        seen.append(number)
        if number < len(makers):
            raise makers[number]()

    service = watch.service()
    with lab.running(service):
        lab.execute(*range(len(makers) + 1), partition=0)
        until(lambda: offsets_committed(lab, service) == len(makers) + 1, "its position moves on")

    assert dead_lettered(lab) == dict.fromkeys(range(len(makers)), 1)
    assert sorted(seen) == list(range(len(makers) + 1))


def test_what_middleware_and_predicates_raise_becomes_a_dead_letter(lab: Lab) -> None:
    @middleware("echo")
    async def broken(message: Any, context: ServiceContext, call_next: Any) -> Any:
        if number_of(message) == 0:
            raise Panic
        if number_of(message) == 1:
            return itertools.repeat(None)
        return await call_next(message, context)

    def takes(message: Any) -> bool:
        if number_of(message) == 2:
            raise SystemExit(2)
        return True

    def only_once(message: Any) -> bool:
        if number_of(message) == 3:
            raise KeyboardInterrupt
        return False

    service = echo(takes=takes, at_most_once=only_once)
    with lab.running(service, broken):
        lab.execute(*range(5), partition=0)
        until(lambda: offsets_committed(lab, service) == 5, "the offset moves on")

    assert dead_lettered(lab) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert lab.completed() == [4]


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt, lambda: SystemExit(3), Panic], ids=["Ctrl-C", "exit", "panic"]
)
@pytest.mark.parametrize("where", ["task", "awaited task", "callback", "group"])
def test_what_a_task_of_a_handler_raises_ends_no_other(
    lab: Lab, caplog: pytest.LogCaptureFixture, where: str, raised: Callable[[], BaseException]
) -> None:
    async def fail_later() -> None:
        raise raised()

    def fail_now() -> None:
        raise raised()

    async def start_something(number: int) -> None:
        if number != 0:
            return
        loop = asyncio.get_running_loop()
        match where:
            case "task":
                await asyncio.wait([loop.create_task(fail_later())])
            case "awaited task":
                await loop.create_task(fail_later())
            case "callback":
                loop.call_soon(fail_now)
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail_later())

    service = echo(before=start_something)
    with lab.running(service):
        lab.execute(0, partition=0)
        until(lambda: offsets_committed(lab, service) == 1, "the first one ends")
        lab.execute(1, 2, partition=0)
        until(lambda: offsets_committed(lab, service) == 3, "handlers still run")

    ended_badly = where in ("awaited task", "group")
    assert lab.completed() == ([1, 2] if ended_badly else [0, 1, 2])
    assert dead_lettered(lab) == ({0: 1} if ended_badly else {})


def test_a_task_that_would_end_the_process_is_logged_with_its_handler(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def start_something(_number: int) -> None:
        await asyncio.wait([asyncio.create_task(interrupt())])

    service = echo(before=start_something)
    with lab.running(service):
        lab.execute(0, partition=0)
        until(lambda: offsets_committed(lab, service) == 1, "it ends")

    assert (
        "echo, handling ExecuteTool raised KeyboardInterrupt, which ends nothing but its task" in caplog.text
    )


def test_a_plug_in_that_stops_the_event_loop_does_not_stop_handlers(lab: Lab) -> None:
    async def stop_the_loop(number: int) -> None:
        if number == 0:
            asyncio.get_running_loop().stop()

    service = echo(before=stop_the_loop)
    with lab.running(service):
        lab.execute(0, 1, partition=0)
        until(lambda: offsets_committed(lab, service) == 2, "handlers still run")

    assert lab.completed() == [0, 1]


def endless() -> Iterator[Any]:
    while True:
        yield events.ToolCompleted


def reply(message: commands.ExecuteTool, context: ServiceContext, **fields: Any) -> events.ToolCompleted:
    given = {"tool": "echo", "output": json_value(None), **fields}
    return context.write(events.ToolCompleted, call=message.call, **given)


NAN_CALLS = types.Usage(tool_calls=float("nan"))  # type: ignore[arg-type]

RETURNED: dict[str, Callable[[Any, Any], Any]] = {
    "an object": lambda _message, _context: object(),
    "text": lambda _message, _context: "done",
    "a number": lambda _message, _context: 7,
    "an endless iterator": lambda _message, _context: endless(),
    "a message and an object": lambda message, context: [reply(message, context), object()],
    "half a character": lambda message, context: reply(message, context, tool="\ud800"),
    "a wrong type": lambda message, context: reply(message, context, output={"not": "a value"}),
    "a huge number": lambda message, context: reply(message, context, usage=types.Usage(tokens_input=2**80)),
    "NaN for a number": lambda message, context: reply(message, context, usage=NAN_CALLS),
}


def test_whatever_a_handler_returns_that_cannot_be_sent_becomes_one_dead_letter(lab: Lab) -> None:
    service = Service("echo")
    makers = list(RETURNED.values())

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: ServiceContext) -> Any:
        number = number_of(message)
        return makers[number](message, context) if number < len(makers) else reply(message, context)

    with lab.running(service):
        lab.execute(*range(len(makers) + 1), partition=0)
        until(lambda: offsets_committed(lab, service) == len(makers) + 1, "the offset moves on")

    assert dead_lettered(lab) == dict.fromkeys(range(len(makers)), 1)
    assert lab.completed() == [len(makers)]


def test_a_reply_that_cannot_be_written_fails_its_call(lab: Lab) -> None:
    service = Service("echo")

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: ServiceContext) -> Any:
        return reply(message, context, output=types.Value(inline=b"1", media_type="half \ud800"))

    with lab.running(service):
        lab.execute(1)
        until(lambda: offsets_committed(lab, service) == 1, "the offset moves on")

    (failed,) = lab.messages(Topic.EVENTS)
    assert isinstance(failed, events.ToolFailed)
    assert (failed.failure.code, failed.call.call_id) == ("unencodable", "call-1")
    assert len(lab.messages(Topic.DEAD_LETTERS)) == 1


def test_a_voided_handler_that_raises_leaves_no_dead_letter(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    entered = asyncio.Event()
    begun: list[int] = []

    async def fail_when_cancelled(number: int) -> None:
        if number != 0:
            return
        begun.append(number)
        try:
            await entered.wait()
        except asyncio.CancelledError:
            raise ValueError("while it was cleaning up") from None

    service = echo(before=fail_when_cancelled)
    with lab.running(service), caplog.at_level(logging.ERROR):
        lab.execute(0, partition=0)
        until(lambda: begun == [0], "it runs")
        lab.void(0)
        lab.execute(1, partition=0)
        until(lambda: offsets_committed(lab, service) == 2, "both are committed")

    assert lab.messages(Topic.DEAD_LETTERS) == []
    assert caplog.messages == []

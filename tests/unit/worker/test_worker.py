"""Workers on the embedded broker: how each message is handled, and what is committed."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.messages import commands, events, types
from orchestrator.messages.base import Definition, Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import derived_id
from orchestrator.sdk import Platform, Service, ServiceContext, ToolDefinition, middleware
from orchestrator.sdk.definitions import tool_defined
from orchestrator.sdk.roles.middleware import Next
from tests.support.workers import TIMEOUT_S, Lab, command, echo, number_of, started, until


def offsets_committed(lab: Lab, service: Service) -> int:
    """The sum of committed offsets over all partitions."""
    return sum(offset for offset, _ in lab.committed(service.consumer_group).values())


def test_every_call_is_completed_and_its_offset_committed(lab: Lab) -> None:
    service = echo()
    with lab.running(service):
        lab.execute(*range(50))
        until(lambda: offsets_committed(lab, service) == 50, "everything is committed while the worker runs")

    assert lab.completed() == list(range(50))


def test_a_dead_letter_that_cannot_be_processed_has_none(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """It would hold the one before, and the next one it, without end."""
    alerts, seen = Service("alerts", writes=()), []

    @alerts.on(events.MessageDeadLettered)
    async def alert(message: events.MessageDeadLettered, _context: ServiceContext) -> None:
        seen.append(message.event_id)
        raise RuntimeError("nobody can be reached")

    async def fail(_: int) -> None:
        raise RuntimeError("it fails")

    service = echo(before=fail)
    with lab.host(service, alerts) as host, started(service, host), started(alerts, host):
        lab.execute(*range(3))
        until(lambda: len(seen) == 3, "each was seen")
        until(
            lambda: lab.committed("alerts", Topic.DEAD_LETTERS)[Topic.DEAD_LETTERS, 0][0] == 3, "it moves on"
        )

    assert len(lab.messages(Topic.DEAD_LETTERS)) == 3
    assert "alerts could not handle dead-letters/0/0" in caplog.text
    assert "nobody can be reached" in caplog.text


def test_a_message_whose_handler_raises_is_dead_lettered_and_the_partition_moves_on(lab: Lab) -> None:
    async def fail_on_3(number: int) -> None:
        if number == 3:
            raise RuntimeError("three is too many")

    service = echo(before=fail_on_3)
    with lab.running(service):
        lab.execute(*range(6), session=derived_id("one"))
        until(lambda: offsets_committed(lab, service) == 6, "the partition moves on")

    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    (sent,) = [
        record for record in lab.read(Topic.EXECUTE_COMMANDS) if record.offset == dead_letter.original.offset
    ]
    assert lab.completed() == [0, 1, 2, 4, 5]
    assert (dead_letter.stage, dead_letter.service, dead_letter.failure.code) == (
        "handle",
        "echo",
        "handler_error",
    )
    assert "three is too many" in dead_letter.failure.message
    assert dead_letter.correlation_id == derived_id("one")
    assert dead_letter.causation_id == command(3).command_id
    assert (dead_letter.original.key, dead_letter.original.value) == (sent.key, sent.value)
    assert [(header.name, header.value) for header in dead_letter.original.headers] == list(sent.headers)


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError("mine"), ValueError("no")])
def test_the_worker_survives_whatever_a_handler_raises(lab: Lab, raised: BaseException) -> None:
    async def fail(number: int) -> None:
        if number == 1:
            raise raised

    service = echo(before=fail)
    with lab.running(service):
        lab.execute(1, 2, partition=0)
        until(lambda: offsets_committed(lab, service) == 2, "the partition moves on")

    assert [dead_letter.stage for dead_letter in lab.messages(Topic.DEAD_LETTERS)] == ["handle"]
    assert lab.completed() == [2]


def test_at_most_once_work_keeps_its_place_in_an_ordered_service(lab: Lab) -> None:
    ran = []

    async def note(number: int) -> None:
        ran.append(number)

    service = echo(before=note, ordered=True, at_most_once=lambda message: number_of(message) % 3 == 0)
    lab.execute(*range(12), session=derived_id("one"))
    with lab.running(service):
        until(lambda: len(lab.completed()) == 12, "all are completed")

    assert ran == list(range(12))


def test_an_undecodable_record_is_dead_lettered_and_the_partition_moves_on(lab: Lab) -> None:
    good = lab.record(1)
    poison = Outgoing(good.topic, good.key, b"\x00\x00\x00\x00\x03not avro", good.headers)
    service = echo()
    with lab.running(service):
        lab.send(poison)
        lab.send(good)
        until(lambda: offsets_committed(lab, service) == 2, "the partition moves on")

    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    assert (dead_letter.stage, dead_letter.failure.code) == ("decode", "contract")
    assert dead_letter.original.value == poison.value
    assert dead_letter.correlation_id == command(1).correlation_id
    assert lab.completed() == [1]


def test_groups_of_one_service_share_its_messages_by_what_each_takes(lab: Lab) -> None:
    even = echo(group="echo-even", takes=lambda message: number_of(message) % 2 == 0)
    odd = echo(group="echo-odd", takes=lambda message: number_of(message) % 2 == 1)
    with lab.running(even), lab.running(odd):
        lab.execute(*range(10))
        until(lambda: offsets_committed(lab, even) == 10, "the even group skips odd calls")
        until(lambda: offsets_committed(lab, odd) == 10, "the odd group skips even calls")

    assert lab.completed() == list(range(10))


def test_messages_that_a_service_does_not_handle_are_skipped_undecoded(lab: Lab) -> None:
    good = lab.record(1)
    strange = (("ce_type", b"agents.commands.SomethingNewer"), *good.headers[1:])
    service = echo()
    with lab.running(service):
        lab.send(Outgoing(good.topic, good.key, b"of another world", strange))
        lab.send(good)
        until(lambda: offsets_committed(lab, service) == 2, "both are committed")

    assert lab.completed() == [1]
    assert lab.messages(Topic.DEAD_LETTERS) == []


def test_calls_of_one_partition_run_concurrently_up_to_the_limit(lab: Lab) -> None:
    running, most = 0, 0

    async def count(_number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    with lab.running(echo(before=count, concurrency=7)):
        lab.execute(*range(60), partition=0)
        until(lambda: len(lab.completed()) == 60, "all are completed")

    assert most == 7


def test_an_ordered_service_handles_the_messages_of_a_session_in_order(lab: Lab) -> None:
    order: dict[int, list[int]] = defaultdict(list)
    running: set[int] = set()
    overlaps = []

    async def note(number: int) -> None:
        session = number % 5
        overlaps.append(session in running)
        running.add(session)
        await asyncio.sleep(0.002 * (number % 3))
        order[session].append(number)
        running.discard(session)

    with lab.running(echo(before=note, ordered=True, concurrency=4)):
        for number in range(60):
            lab.execute(number, session=derived_id("session", number % 5))
        until(lambda: len(lab.completed()) == 60, "all are completed")

    assert not any(overlaps)
    assert all(numbers == sorted(numbers) for numbers in order.values())


def test_stopping_lets_running_handlers_finish(lab: Lab) -> None:
    entered = threading.Event()

    async def take_a_while(_number: int) -> None:
        entered.set()
        await asyncio.sleep(0.2)

    with lab.running(echo(before=take_a_while)) as worker:
        lab.execute(1)
        assert entered.wait(TIMEOUT_S)
        worker.stop(Deadline.after(TIMEOUT_S))

    assert lab.completed() == [1]


def test_a_voided_call_is_cancelled_and_its_offset_completed(lab: Lab) -> None:
    entered, cancelled = threading.Event(), threading.Event()
    ran = []

    async def hang_on_1(number: int) -> None:
        ran.append(number)
        if number == 1:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    service = echo(before=hang_on_1)
    with lab.running(service):
        lab.execute(1, partition=0)
        assert entered.wait(TIMEOUT_S)
        lab.void(1, 2)
        assert cancelled.wait(TIMEOUT_S)
        lab.execute(2, 3, partition=0)
        until(lambda: offsets_committed(lab, service) == 3, "voided calls are committed")

    assert ran == [1, 3]
    assert lab.completed() == [3]


def asking(ending: Callable[[], Awaitable[None]], **options: Any) -> Service:
    """A service that has asked a model, and then ends without a reply."""
    service = Service("asker", **options)

    @service.on(commands.ExecuteTool)
    async def ask(_message: commands.ExecuteTool, context: ServiceContext) -> None:
        context.use(model_requests=1, tokens_input=10_000)
        await ending()

    return service


def until_usage_reported(lab: Lab) -> events.UsageReported:
    def reports() -> list[Any]:
        return [one for one in lab.messages(Topic.EVENTS) if isinstance(one, events.UsageReported)]

    until(lambda: bool(reports()), "the usage is reported")
    [report] = reports()
    return report  # type: ignore[no-any-return]


def test_what_a_voided_call_has_used_is_reported(lab: Lab) -> None:
    entered = threading.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    service = asking(hang)
    with lab.running(service):
        lab.execute(1, partition=0)
        assert entered.wait(TIMEOUT_S)
        lab.void(1)
        until(lambda: offsets_committed(lab, service) == 1, "the voided call is committed")

    report = until_usage_reported(lab)
    assert (report.call, report.service) == (command(1).call, "asker")
    assert (report.usage.model_requests, report.usage.tokens_input) == (1, 10_000)
    assert lab.messages(Topic.DEAD_LETTERS) == []


def test_what_a_handler_has_used_that_raises_is_reported(lab: Lab) -> None:
    async def fail() -> None:
        raise RuntimeError("the answer is no answer")

    service = asking(fail)
    with lab.running(service):
        lab.execute(1, partition=0)
        until(lambda: offsets_committed(lab, service) == 1, "its dead letter is written")

    assert until_usage_reported(lab).usage.tokens_input == 10_000
    assert len(lab.messages(Topic.DEAD_LETTERS)) == 1


def test_a_service_that_may_not_write_events_reports_no_usage(lab: Lab) -> None:
    async def fail() -> None:
        raise RuntimeError("the answer is no answer")

    service = asking(fail, writes=())
    with lab.running(service):
        lab.execute(1, partition=0)
        until(lambda: offsets_committed(lab, service) == 1, "its dead letter is written")

    assert lab.messages(Topic.EVENTS) == []


def test_a_handler_that_raises_and_has_used_nothing_reports_nothing(lab: Lab) -> None:
    async def fail(_number: int) -> None:
        raise RuntimeError("at once")

    service = echo(before=fail)
    with lab.running(service):
        lab.execute(1, partition=0)
        until(lambda: offsets_committed(lab, service) == 1, "its dead letter is written")

    assert lab.messages(Topic.EVENTS) == []


def test_at_most_once_work_is_committed_before_it_starts(lab: Lab) -> None:
    committed_at_start = []

    async def look(_number: int) -> None:
        found = await asyncio.to_thread(lab.committed, "echo")
        committed_at_start.append(found[Topic.EXECUTE_COMMANDS, 0])
        await asyncio.sleep(0.05)

    service = echo(before=look, at_most_once=lambda message: number_of(message) == 2)
    with lab.running(service):
        lab.execute(2, partition=0)
        until(lambda: len(lab.completed()) == 1, "it is completed")

    assert committed_at_start == [(1, "")]


def test_middleware_sees_the_message_first_and_the_outputs_last(lab: Lab) -> None:
    @middleware("echo")
    async def shout(message: Message, context: ServiceContext, call_next: Next) -> Sequence[Message]:
        outputs = await call_next(message, context)
        return [msgspec.structs.replace(output, tool="ECHO") for output in outputs]

    @middleware("another")
    async def break_everything(_message: Message, _context: ServiceContext, _next: Next) -> Sequence[Message]:
        raise AssertionError("not for this service")

    service = echo()
    with lab.running(service, shout, break_everything):
        lab.execute(1)
        until(lambda: len(lab.completed()) == 1, "it is completed")

    assert [message.tool for message in lab.messages(Topic.EVENTS)] == ["ECHO"]


def test_middleware_that_forgets_what_to_send_is_said(lab: Lab) -> None:
    @middleware("echo")
    async def forgetful(message: Message, context: ServiceContext, call_next: Next) -> Any:
        await call_next(message, context)

    with lab.running(echo(), forgetful):
        lab.execute(1)
        until(lambda: len(lab.messages(Topic.DEAD_LETTERS)) == 1, "it is dead-lettered")

    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    assert "middleware forgetful returned nothing: return the messages to send" in dead_letter.failure.message


def test_what_a_service_does_not_write_is_a_dead_letter(lab: Lab) -> None:
    service = echo(writes=())
    with lab.running(service):
        lab.execute(1)
        until(lambda: len(lab.messages(Topic.DEAD_LETTERS)) == 1, "it is dead-lettered")

    assert lab.messages(Topic.EVENTS) == []
    assert (
        "may not write ToolCompleted, which goes to events"
        in lab.messages(Topic.DEAD_LETTERS)[0].failure.message
    )


def test_reports_of_a_service_that_writes_none_are_left_out(lab: Lab) -> None:
    done = []
    service = Service("quiet", writes=())

    @service.on(commands.ExecuteTool)
    async def run(_message: commands.ExecuteTool, context: ServiceContext) -> None:
        await context.progress("half way", 0.5)
        done.append(True)

    with lab.running(service):
        lab.execute(1)
        until(lambda: bool(done), "it is handled")

    assert lab.messages(Topic.PROGRESS) == lab.messages(Topic.DEAD_LETTERS) == []


def test_a_message_can_be_sent_before_the_handler_returns(lab: Lab) -> None:
    seen_before_the_reply = []
    service = Service("echo")

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: ServiceContext) -> None:
        await context.progress("half way", 0.5)
        seen_before_the_reply.extend(await asyncio.to_thread(lab.messages, Topic.PROGRESS))

    with lab.running(service):
        lab.execute(1)
        until(lambda: bool(seen_before_the_reply), "the progress is readable")

    assert [(message.note, message.fraction) for message in seen_before_the_reply] == [("half way", 0.5)]


def test_a_service_announces_definitions_that_are_not_known_yet(lab: Lab) -> None:
    service = echo()
    known = ToolDefinition(name="known")
    service.announces(lambda platform: [tool_defined(known, platform.now())])

    other = echo("other")
    other.announcement = service.announcement
    with lab.host(service, other) as host:
        for each in (service, other):
            with started(each, host):
                until(lambda: "known" in host.definitions.table.tools, "the table knows it")

    assert [message.tool for message in lab.messages(Topic.DEFINITIONS)] == [known]


def test_a_definition_that_cannot_be_published_does_not_hold_up_later_ones(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    service = echo()
    large = ToolDefinition(name="large", description="x" * 20_000_000)
    small = ToolDefinition(name="small")

    @service.discovers
    async def found(platform: Platform) -> AsyncIterator[list[Definition]]:
        yield [tool_defined(large, platform.now()), tool_defined(small, platform.now())]

    with lab.host(service) as host, started(service, host):
        until(lambda: "small" in host.definitions.table.tools, "the table knows the one that fits")

    assert [message.tool.name for message in lab.messages(Topic.DEFINITIONS)] == ["small"]
    assert "the definition tool/large cannot be published" in caplog.text


def test_slow_calls_never_stop_polling(lab: Lab) -> None:
    """With all handlers busy for longer than `pause_after_s`, partitions are paused and resumed."""
    gate = threading.Event()
    running = []

    async def wait(number: int) -> None:
        running.append(number)
        await asyncio.to_thread(gate.wait, TIMEOUT_S)

    with lab.running(echo(before=wait, concurrency=2), pause_after_s=0.05) as worker:
        lab.execute(*range(20), partition=0)
        until(lambda: worker._assignment.all_paused, "the partitions are paused")
        until(lambda: len(running) == 2, "as many run as may")
        gate.set()
        until(lambda: len(lab.completed()) == 20, "all are completed")

    assert lab.completed() == list(range(20))


def test_definitions_are_read_and_removed(lab: Lab) -> None:
    defined = tool_defined(ToolDefinition(name="sql.query"), 1)
    record = lab.codec.encode(defined, source="/test/0")
    lab.send(record)
    lab.producer.flush(Deadline.after(TIMEOUT_S))
    with lab.host() as host:
        table = host.definitions.table
        assert set(table.tools) == {"sql.query"}
        assert table.has(defined)

        lab.send(Outgoing(record.topic, record.key, None, ()))
        lab.producer.flush(Deadline.after(TIMEOUT_S))
        host.definitions.catch_up(Deadline.after(TIMEOUT_S))

        assert set(table.tools) == set()


@pytest.mark.parametrize("ordered", [False, True])
def test_outputs_that_are_too_large_are_dead_lettered_and_fail_their_call(lab: Lab, ordered: bool) -> None:
    service = Service("echo", ordered=ordered)

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: ServiceContext) -> Any:
        large = types.Value(inline=bytes(2_000_000))
        return context.write(events.ToolCompleted, call=message.call, tool="x", output=large)

    with lab.running(service):
        lab.execute(1)
        until(lambda: offsets_committed(lab, service) == 1, "the partition moves on")

    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    assert dead_letter.stage == "handle"
    (failed,) = lab.messages(Topic.EVENTS)
    assert isinstance(failed, events.ToolFailed)
    assert failed.call.call_id == "call-1"
    assert (failed.failure.kind, failed.failure.code) == (types.FailureKind.PERMANENT, "too_large")

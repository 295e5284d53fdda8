"""The loop on a real Kafka: what it writes for its inputs, and that none is handled twice or lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing
from orchestrator.engine.offset_metadata import batch_number
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile, CallKind, EvaluationPolicy, Failure, FailureKind
from orchestrator.messages.values import json_value, value_of
from orchestrator.saga import decide
from tests.support.saga_lab import SagaLab, count_ended, is_gapless, states
from tests.support.samples import incompressible
from tests.support.topics import limit_record_size
from tests.support.workers import until

pytestmark = pytest.mark.integration

NewLab = Callable[..., SagaLab]


@pytest.fixture
def new_lab(kafka_stack: StackAddress, tmp_path: Path) -> NewLab:
    return lambda partitions=4: SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions)


@pytest.fixture
def lab(new_lab: NewLab) -> SagaLab:
    return new_lab()


def test_a_session_is_written_in_transactions_with_its_offsets(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id())
    with lab.services(), lab.running():
        lab.until_history(session, "TaskCompleted")

    assert is_gapless(lab.history(session))
    assert lab.names(session)[:2] == ["TaskReceived", "PlanRequested"]
    home = partition_of(session, lab.partitions)
    committed = lab.committed()
    assert committed[Topic.TASKS, home][0] == 1
    assert committed[Topic.EVENTS, home][0] == lab.ends(Topic.EVENTS)[Topic.EVENTS, home]
    numbers = {batch_number(metadata) for (_, number), (_, metadata) in committed.items() if number == home}
    assert len(numbers) == 1
    assert numbers.pop() > 1


def test_every_session_of_many_ends_once(lab: SagaLab) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(100)))
    with lab.services(), lab.running():
        until(lambda: count_ended(lab.histories(), "TaskCompleted") == 100, "100 sessions completed")

    histories = lab.histories()
    assert sorted(histories) == sorted(names)
    assert all(is_gapless(history) for history in histories.values())


def test_a_restart_continues_with_the_same_state(lab: SagaLab) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(20)))
    with lab.running() as before:
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 20, "20 plans are requested")
        for name in names[:10]:
            lab.reply_to(name, commands.CreatePlan)
        until(
            lambda: len(lab.installation.messages(Topic.SESSIONS)) >= 20 * 2 + 10 * 2, "10 plans are accepted"
        )

    with lab.running() as after:
        pass

    assert states(after) == states(before)
    assert len(states(after)) == 20
    assert sum(progress.events for progress in after.loop.restored) >= 60


def test_a_session_continues_where_another_slot_left_it(lab: SagaLab) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(20)))
    with lab.running():
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 20, "20 plans are requested")
    first, second = lab.start(slot=0), lab.start(slot=1)
    try:
        lab.until_ready(first, second)
        shares = [len(first.loop.partitions), len(second.loop.partitions)]
        with lab.services():
            until(lambda: count_ended(lab.histories(), "TaskCompleted") == 20, "all are completed")
    finally:
        first.stop()
        second.stop()

    assert shares == [2, 2]
    assert all(is_gapless(lab.history(name)) for name in names)


def test_a_record_in_the_wrong_partition_is_forwarded_once(lab: SagaLab) -> None:
    first, second = lab.new_id(partition=1), lab.new_id(partition=1)
    lab.send(lab.task(first), partition=3)
    record = lab.codec.encode(lab.task(second), source="/test/0")
    forwarded = (*record.headers, ("agents_forwarded", b"tasks/1/0"))
    lab.send_raw(Outgoing(Topic.TASKS, record.key, record.value, forwarded, 3))
    with lab.running():
        lab.until_history(first, "PlanRequested")
        until(lambda: len(lab.dead_letters()) == 1, "a record that was forwarded once is dead-lettered")

    [dead_letter] = lab.dead_letters()
    assert dead_letter.original.value == record.value
    assert dead_letter.original.partition == 3
    assert not lab.history(second)
    received = [each for each in lab.installation.read(Topic.TASKS) if each.partition == 1]
    assert [each.header("agents_forwarded") for each in received] == [b"tasks/3/0"]


def test_a_record_without_a_key_is_forwarded_with_the_key_of_its_session(lab: SagaLab) -> None:
    session = lab.new_id(partition=2)
    record = lab.codec.encode(lab.task(session), source="/test/0")
    lab.send_raw(Outgoing(Topic.TASKS, None, record.value, record.headers, 0))  # type: ignore[arg-type]
    with lab.running():
        lab.until_history(session, "PlanRequested")

    assert [each.key for each in lab.installation.read(Topic.TASKS)] == [None, session.encode()]


def test_a_reply_in_the_wrong_partition_reaches_its_session(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id(partition=1))
    with lab.running():
        lab.until_history(session, "PlanRequested")
        [command] = lab.installation.messages(Topic.PLAN_COMMANDS)
        lab.send(*lab.replies(command), partition=2)
        lab.until_history(session, "PlanAccepted")


@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.CONTROL, Topic.EVENTS])
def test_an_undecodable_record_is_dead_lettered_byte_for_byte(lab: SagaLab, topic: Topic) -> None:
    session = lab.new_id(partition=0)
    headers = (("note", b"\xff\x00"),)
    lab.send_raw(Outgoing(topic, b"\x00key", b"\x00\x00\x00\x00\x00garbage", headers, 0))
    lab.submit(session)
    with lab.running():
        lab.until_history(session, "PlanRequested")
        until(lambda: len(lab.dead_letters()) == 1, "a dead letter")

    [dead_letter] = lab.dead_letters()
    assert dead_letter.original.topic == topic
    assert (dead_letter.original.key, dead_letter.original.value) == (
        b"\x00key",
        b"\x00\x00\x00\x00\x00garbage",
    )
    assert [(header.name, header.value) for header in dead_letter.original.headers] == [("note", b"\xff\x00")]
    assert dead_letter.stage == "decode"
    assert lab.committed()[topic, 0][0] >= 1


def test_a_decision_that_fails_quarantines_its_session_alone(
    lab: SagaLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned, other = lab.new_id(partition=0), lab.new_id(partition=0)

    def broken(session: object, input: object, correlation_id: str, *others: object) -> object:
        if correlation_id == poisoned and isinstance(input, events.PlanCreated):
            raise ZeroDivisionError("a bug")
        return decide(session, input, correlation_id, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("orchestrator.engine.staged_batch.decide", broken)
    lab.submit(poisoned, other)
    with lab.services(), lab.running():
        lab.until_history(other, "TaskCompleted")
        until(lambda: len(lab.dead_letters()) == 1, "a dead letter")

    [dead_letter] = lab.dead_letters()
    assert dead_letter.correlation_id == poisoned
    assert dead_letter.failure.code == "decision_failed"
    assert "a bug" in dead_letter.failure.message
    assert dead_letter.sequence == 2
    assert dead_letter.state is not None

    monkeypatch.undo()
    with lab.running() as again:
        lab.send(*lab.replies(lab.installation.messages(Topic.PLAN_COMMANDS)[0]))
        lab.submit(poisoned)
        [third] = lab.submit(lab.new_id(partition=0))
        lab.until_history(third, "PlanRequested")

    assert poisoned not in states(again)
    assert lab.names(poisoned) == ["TaskReceived", "PlanRequested"]
    assert len(lab.dead_letters()) == 1


def test_a_second_task_of_a_session_is_dropped(lab: SagaLab) -> None:
    live, ended = lab.submit(lab.new_id(partition=0), lab.new_id(partition=0))
    with lab.running():
        lab.until_history(live, "PlanRequested")
        lab.cancel(ended)
        lab.until_history(ended, "TaskCancelled")
        lab.submit(live, ended)
        [last] = lab.submit(lab.new_id(partition=0))
        lab.until_history(last, "PlanRequested")
    with lab.running():
        lab.submit(live, ended)
        [last] = lab.submit(lab.new_id(partition=0))
        lab.until_history(last, "PlanRequested")

    assert lab.names(live).count("TaskReceived") == 1
    assert lab.names(ended).count("TaskReceived") == 1


def test_a_cancel_that_comes_before_its_task_is_remembered(lab: SagaLab) -> None:
    session = lab.new_id()
    lab.cancel(session)
    with lab.running():
        lab.until_history(session, "CancelRequested")
    with lab.running():
        lab.submit(session)
        lab.until_history(session, "TaskCancelled")

    assert not lab.installation.messages(Topic.PLAN_COMMANDS)


def test_tasks_wait_while_the_limit_of_active_sessions_is_reached(new_lab: NewLab) -> None:
    lab = new_lab(1)
    names = lab.submit(*(lab.new_id() for _ in range(50)))
    with lab.running(active_sessions=5) as running:
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 5, "5 sessions have started")
        assert [
            message.correlation_id for message in lab.installation.messages(Topic.PLAN_COMMANDS)
        ] == names[:5]
        lab.cancel(names[2])
        lab.until_history(names[5], "PlanRequested")
        assert len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 6
        with lab.services():
            until(lambda: count_ended(lab.histories(), "TaskCompleted") == 49, "all end")
    [partition] = running.loop.partitions.values()
    assert partition.active == 0


def test_escalated_sessions_do_not_hold_tasks_back(new_lab: NewLab) -> None:
    lab = new_lab(1)
    lab.agents.found["default"] = AgentProfile(name="default", evaluation=EvaluationPolicy(max_revisions=1))
    first, second = lab.submit(lab.new_id(), lab.new_id())
    with lab.running(active_sessions=1):
        lab.until_history(first, "PlanRequested")
        [command] = lab.installation.messages(Topic.PLAN_COMMANDS)
        lab.send(
            replace(
                lab.replies(command)[0],
                plan=replace(lab.replies(command)[0].plan, steps=()),
            )
        )
        lab.until_history(first, "TaskEscalated")
        lab.until_history(second, "PlanRequested")
    assert len(lab.dead_letters()) == 1


def test_a_timer_fires_once_and_within_a_second(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id())
    with lab.running():
        lab.until_history(session, "PlanRequested")
        [command] = lab.installation.messages(Topic.PLAN_COMMANDS)
        failed = events.PlanningFailed(
            event_id=command.command_id,
            correlation_id=session,
            occurred_at=1,
            call=command.call,
            failure=Failure(kind=FailureKind.TRANSIENT, code="broken", message="it did not work"),
        )
        lab.send(failed)
        lab.until_history(session, "CallFailed")
        call = next(event for event in lab.history(session) if isinstance(event, events.CallFailed)).call
        assert call.kind is CallKind.RECOVERY
        lab.send(
            events.RetryScheduled(
                event_id=call.call_id, correlation_id=session, occurred_at=1, call=call, delay_ms=700
            )
        )
        until(lambda: lab.names(session).count("PlanRequested") == 2, "the retry")

    recorded, retried = lab.history(session)[-2:]
    assert isinstance(recorded, events.RecoveryRecorded)
    assert recorded.retry_at is not None
    assert 0 <= retried.occurred_at - recorded.retry_at < 1_000_000
    assert lab.names(session).count("PlanRequested") == 2


def test_a_reply_delayed_by_an_outage_wins_over_its_timeout(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id())
    with lab.running():
        lab.until_history(session, "PlanRequested")
    lab.reply_to(session, commands.CreatePlan)
    late = lab.history(session)[-1].call.due_at + 1  # type: ignore[attr-defined]

    with lab.running(clock=lambda: late):
        lab.until_history(session, "PlanStepReady")

    assert "CallTimedOut" not in lab.names(session)


def test_a_call_without_a_reply_times_out_once_all_events_are_read(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id())
    with lab.running():
        lab.until_history(session, "PlanRequested")
    late = lab.history(session)[-1].call.due_at + 1  # type: ignore[attr-defined]

    with lab.running(clock=lambda: late):
        lab.until_history(session, "CallTimedOut")


def test_positions_of_inputs_without_effect_are_committed_within_seconds(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id(partition=0))
    with lab.services(), lab.running():
        lab.until_history(session, "TaskCompleted")
        started = events.ToolStarted(
            event_id=session,
            correlation_id=session,
            occurred_at=1,
            call=next(e for e in lab.history(session) if isinstance(e, events.StepAssigned)).call,
        )
        lab.send(started, started)
        end = lab.ends(Topic.EVENTS)[Topic.EVENTS, 0]
        until(lambda: lab.committed()[Topic.EVENTS, 0][0] == end, "the positions are committed", 12)


def test_a_task_too_large_to_be_accepted_is_refused_with_the_reason(lab: SagaLab) -> None:
    session = lab.new_id()
    lab.submit(session, context=value_of(b"x" * 600_000, "text/plain"))
    with lab.running():
        lab.until_history(session, "TaskRefused")

    [refused] = lab.history(session)
    assert isinstance(refused, events.TaskRefused)
    assert refused.failure.code == "too_large"
    assert "value store" in refused.failure.message


def test_inputs_too_large_for_a_message_go_through_the_value_store(lab: SagaLab) -> None:
    """Two outputs of 600 KB fit into their messages; the step that needs both gets references to the value store."""
    from orchestrator.testing.scenario import plan, step

    [session] = lab.submit(lab.new_id())
    with lab.running():
        lab.until_history(session, "PlanRequested")
        [command] = lab.installation.messages(Topic.PLAN_COMMANDS)
        [created] = lab.replies(command)
        made = plan("a", "b", step("c", uses={"x": "a", "y": "b"}))
        lab.send(replace(created, plan=made))
        for index, name in enumerate("ab"):
            lab.until_history(session, "PlanStepReady", count=index + 1)
            ready = [
                event
                for event in lab.history(session)
                if isinstance(event, events.PlanStepReady) and event.step.step_id == name
            ]
            selected, completed = lab.replies(ready[0])
            lab.send(selected, replace(completed, output=json_value("x" * 600_000)))
        until(lambda: lab.names(session).count("StepSucceeded") == 2, "two steps succeeded")
        until(lambda: lab.names(session).count("PlanStepReady") == 3, "the third is ready")

    last = lab.history(session)[-1]
    assert isinstance(last, events.PlanStepReady)
    assert [lab.values.load_now(value) for value in last.inputs.values()] == ["x" * 600_000] * 2
    assert all(value.inline is None for value in last.inputs.values())


def test_a_reply_whose_outputs_are_too_large_fails_its_step(lab: SagaLab) -> None:
    [session] = lab.submit(lab.new_id())
    with lab.services(), lab.running(record_bytes=20_000):
        lab.until_history(session, "TaskCompleted")
    [other] = lab.submit(lab.new_id())
    with lab.running(record_bytes=20_000):
        lab.until_history(other, "PlanRequested")
        lab.reply_to(other, commands.CreatePlan)
        lab.until_history(other, "PlanStepReady")
        selected, completed = lab.replies(
            next(event for event in lab.history(other) if isinstance(event, events.PlanStepReady))
        )
        lab.send(selected, replace(completed, output=json_value("x" * 30_000)))
        lab.until_history(other, "CallFailed")

    failed = next(event for event in lab.history(other) if isinstance(event, events.CallFailed))
    assert failed.call.failure is not None
    assert failed.call.failure.code == "too_large"
    failures = [
        event for event in lab.installation.messages(Topic.EVENTS) if isinstance(event, events.ToolFailed)
    ]
    assert [event.failure.code for event in failures] == ["too_large"]


def test_a_request_too_large_to_be_recorded_leaves_its_session_alone(lab: SagaLab) -> None:
    session, reason = lab.new_id(), incompressible(1_000)
    lab.send(
        commands.CancelTask(command_id=lab.new_id(), correlation_id=session, occurred_at=1, reason=reason)
    )
    limit_record_size(lab.bus, lab.installation.settings, Topic.SESSIONS, 1_000)
    with lab.running():
        until(lambda: len(lab.dead_letters()) == 1, "the request is set aside")

    limit_record_size(lab.bus, lab.installation.settings, Topic.SESSIONS, 1_000_000)
    lab.submit(session)
    with lab.services(), lab.running():
        lab.until_history(session, "TaskCompleted")


def test_a_record_that_only_the_broker_refuses_fails_its_input_and_no_other(lab: SagaLab) -> None:
    """The topic's limit is below the client's: the transaction is aborted, and smaller ones isolate the input."""
    others = [lab.new_id(partition=0) for _ in range(10)]
    large = lab.new_id(partition=0)
    lab.submit(*others[:5])
    lab.submit(large, context=value_of(incompressible(60_000).encode(), "text/plain"))
    lab.submit(*others[5:])
    limit_record_size(lab.bus, lab.installation.settings, Topic.SESSIONS, 50_000)
    with lab.running():
        for name in (*others, large):
            until(lambda name=name: bool(lab.names(name)), "every task has a first event")  # type: ignore[misc]

    assert lab.names(large) == ["TaskRefused"]
    assert all(lab.names(name) == ["TaskReceived", "PlanRequested"] for name in others)


def test_no_input_is_blamed_for_a_checkpoint_that_the_broker_refuses(
    lab: SagaLab, caplog: pytest.LogCaptureFixture
) -> None:
    limit_record_size(lab.bus, lab.installation.settings, Topic.SNAPSHOTS, 100)
    sessions = []
    with lab.services(), lab.running():
        while caplog.text.count("is too low") < 2:
            sessions.append(lab.new_id())
            lab.submit(sessions[-1])
            lab.until_history(sessions[-1], "TaskCompleted")

    assert lab.dead_letters() == []
    assert all(lab.names(session)[-1] == "TaskCompleted" for session in sessions)


def test_a_dead_letter_that_only_the_broker_refuses_is_written_in_part(lab: SagaLab) -> None:
    limit_record_size(lab.bus, lab.installation.settings, Topic.DEAD_LETTERS, 50_000)
    value = incompressible(60_000).encode()
    lab.send_raw(Outgoing(Topic.TASKS, b"k", value, (), 0))
    session = lab.new_id(partition=0)
    lab.submit(session)
    with lab.services(), lab.running():
        lab.until_history(session, "TaskCompleted")
        until(lambda: len(lab.dead_letters()) == 1, "its dead letter")

    [dead_letter] = lab.dead_letters()
    assert [(part.part, part.size) for part in dead_letter.original.cut] == [("value", 60_000)]
    assert dead_letter.original.value == value[:4_096]

"""Nobody gets the place of another: a session belongs to the tenant and the business key that began it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.bus.headers import message_id
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing
from orchestrator.clock import unix_micros
from orchestrator.engine.state import snapshots
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import EndedSessions
from tests.support.saga_lab import SagaLab, states
from tests.support.workers import until

pytestmark = pytest.mark.integration

DAY_MICROS = 24 * 3_600_000_000


@pytest.fixture
def lab(kafka_stack: StackAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SagaLab:
    monkeypatch.setattr("orchestrator.engine.state.partition.CHECKPOINT_EVERY_MICROS", 200_000)
    return SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions=3)


def submit(lab: SagaLab, **fields: Any) -> None:
    """As a producer that leaves all ids to the platform. The key of its record says nothing about the session."""
    task = replace(lab.task(**fields), correlation_id="", command_id="")
    writer = lab.codec._writer(commands.SubmitTask)
    body = bytearray(writer.prefix)
    writer.write(task, body)
    lab.send_raw(Outgoing(Topic.TASKS, b"orders", bytes(body), ()))


def found(lab: SagaLab, kind: type[Any]) -> list[Any]:
    return [event for event in lab.installation.messages(Topic.SESSIONS) if isinstance(event, kind)]


def until_found(lab: SagaLab, kind: type[Any], count: int) -> list[Any]:
    until(lambda: len(found(lab, kind)) >= count, f"{count} {kind.__name__}")
    return found(lab, kind)


def until_dead_letters(lab: SagaLab, count: int = 1) -> list[str]:
    """Why records were dead-lettered."""
    until(lambda: len(lab.dead_letters()) >= count, f"{count} dead letters")
    return [each.failure.message for each in lab.dead_letters()]


def test_a_task_of_a_key_that_has_a_session_is_refused_and_leads_there(lab: SagaLab) -> None:
    with lab.running():
        submit(lab, tenant="acme", key="invoice-7")
        [first] = until_found(lab, events.TaskReceived, 1)
        submit(lab, tenant="acme", key="invoice-7")
        [while_it_runs] = until_found(lab, events.TaskRefused, 1)
        with lab.services():
            lab.until_history(first.correlation_id, "TaskCompleted")
        submit(lab, tenant="acme", key="invoice-7")
        [_, after_its_end] = until_found(lab, events.TaskRefused, 2)

    assert while_it_runs.repeats == after_its_end.repeats == first.correlation_id
    assert while_it_runs.failure.code == "repeated"
    assert len({each.correlation_id for each in (first, while_it_runs, after_its_end)}) == 3
    assert lab.names(first.correlation_id).count("TaskReceived") == 1


def test_two_tasks_of_a_key_in_one_batch_start_one_session(lab: SagaLab) -> None:
    for _ in range(3):
        submit(lab, key="invoice-7")
    with lab.running():
        refused = until_found(lab, events.TaskRefused, 2)

    [first] = found(lab, events.TaskReceived)
    assert {each.repeats for each in refused} == {first.correlation_id}


def test_a_key_is_free_a_week_after_the_end_and_the_new_session_names_the_old_one(lab: SagaLab) -> None:
    with lab.running(), lab.services():
        submit(lab, tenant="acme", key="invoice-7")
        [first] = until_found(lab, events.TaskReceived, 1)
        lab.until_history(first.correlation_id, "TaskCompleted")
    with lab.running(clock=lambda: unix_micros() + 6 * DAY_MICROS):
        submit(lab, tenant="acme", key="invoice-7")
        [refused] = until_found(lab, events.TaskRefused, 1)
    with lab.running(clock=lambda: unix_micros() + 8 * DAY_MICROS):
        submit(lab, tenant="acme", key="invoice-7")
        [_, second] = until_found(lab, events.TaskReceived, 2)

    assert refused.repeats == first.correlation_id
    assert first.previous is None
    assert second.previous == first.correlation_id
    assert second.correlation_id != first.correlation_id
    assert second.event_id != first.event_id


def test_what_is_known_of_keys_survives_restarts(lab: SagaLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MIN_EVENT_BYTES", 500)
    keys = [f"invoice-{number}" for number in range(6)]
    with lab.running(), lab.services():
        for key in keys[:3]:
            submit(lab, key=key)
        until(lambda: len(found(lab, events.TaskCompleted)) == 3, "the first end")
        until(lambda: _chunks(lab), "a checkpoint has them")
    # These end just before the process does: no checkpoint has them.
    monkeypatch.setattr("orchestrator.engine.state.partition.CHECKPOINT_EVERY_MICROS", 10**12)
    with lab.running(), lab.services():
        for key in keys[3:]:
            submit(lab, key=key)
        until(lambda: len(found(lab, events.TaskCompleted)) == 6, "all end")
    with lab.running():
        for key in keys:
            submit(lab, key=key)
        refused = until_found(lab, events.TaskRefused, 6)

    begun = {each.key: each.correlation_id for each in found(lab, events.TaskReceived)}
    assert len(found(lab, events.TaskReceived)) == 6
    assert {each.repeats for each in refused} == set(begun.values())


def _chunks(lab: SagaLab) -> bool:
    written = (each for each in lab.installation.read(Topic.SNAPSHOTS) if each.value is not None)
    return any(isinstance(lab.codec.decode(each), EndedSessions) for each in written)


def test_tenant_and_key_are_told_apart_wherever_a_slash_is(lab: SagaLab) -> None:
    with lab.running():
        submit(lab, tenant="acme", key="eu/invoice-7")
        submit(lab, tenant="acme/eu", key="invoice-7")
        begun = until_found(lab, events.TaskReceived, 2)

    assert len({each.correlation_id for each in begun}) == 2


def test_tasks_without_an_id_have_other_sessions_in_other_installations(
    lab: SagaLab, kafka_stack: StackAddress, tmp_path: Path
) -> None:
    other = SagaLab.on(kafka_stack.bootstrap_servers, tmp_path / "other", partitions=3)
    for each in (lab, other):
        with each.running():
            submit(each)
            until_found(each, events.TaskReceived, 1)

    begun = [found(each, events.TaskReceived)[0] for each in (lab, other)]
    assert begun[0].submitted.offset == begun[1].submitted.offset
    assert begun[0].correlation_id != begun[1].correlation_id


def test_tasks_that_name_one_command_share_no_ids(lab: SagaLab) -> None:
    """Whoever writes a task chooses its `command_id`, and may choose the one that another task will get."""
    sessions = [lab.new_id(), lab.new_id()]
    with lab.running(), lab.services():
        for session, tenant in zip(sessions, ("evil", "acme"), strict=True):
            lab.submit(session, tenant=tenant, command_id="the same")
        for session in sessions:
            lab.until_history(session, "TaskCompleted")

    ids = [{message_id(message) for message in lab.outputs(session)} for session in sessions]
    assert len(ids[0]) == len(ids[1]) > 5
    assert not ids[0] & ids[1]


def test_a_task_under_the_id_of_anothers_session_is_a_dead_letter(lab: SagaLab) -> None:
    with lab.running():
        [session] = lab.submit(lab.new_id(), tenant="acme")
        lab.until_history(session, "PlanRequested")
        lab.submit(session, tenant="evil")
        assert f"session {session} is of another tenant" in until_dead_letters(lab, 1)[0]
        with lab.services():
            lab.until_history(session, "TaskCompleted")
        lab.submit(session, tenant="evil")
        assert "which has ended, did a task of another tenant" in until_dead_letters(lab, 2)[1]
        lab.submit(session, tenant="acme")
        [last] = lab.submit(lab.new_id())
        lab.until_history(last, "PlanRequested")

    assert lab.names(session).count("TaskReceived") == 1
    assert len(lab.dead_letters()) == 2


def test_an_id_in_another_partition_than_its_key_is_refused(lab: SagaLab) -> None:
    ids = [lab.new_id(partition) for partition in range(3)]
    with lab.running():
        for name in ids:
            lab.submit(name, key="invoice-7")
        refused = until_found(lab, events.TaskRefused, 2)

    assert {each.failure.code for each in refused} == {"id_of_another_partition"}
    assert len(found(lab, events.TaskReceived)) == 1


def test_a_cancel_of_another_tenant_stops_nothing(lab: SagaLab) -> None:
    early, late = lab.new_id(), lab.new_id()
    with lab.running(), lab.services():
        lab.cancel(early, tenant="evil")
        lab.until_history(early, "CancelRequested")
        lab.submit(early, tenant="acme")
        lab.until_history(early, "TaskCompleted")
    with lab.running():
        lab.submit(late, tenant="acme")
        lab.until_history(late, "PlanRequested")
        lab.cancel(late, tenant="evil")
        assert f"session {late} is of another tenant" in until_dead_letters(lab)[0]
        lab.cancel(late, tenant="acme")
        lab.until_history(late, "TaskCancelled")


def test_cancels_of_tasks_that_never_come_take_a_bounded_place(
    lab: SagaLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.staged_batch.MOST_AWAITED", 2)
    names = [lab.new_id() for _ in range(40)]

    with lab.running() as running, lab.services():
        for name in names:
            lab.cancel(name)
        until(lambda: len(found(lab, events.CancelRequested)) == len(names), "all cancels")
        waiting = set(states(running))
        [good] = lab.submit(lab.new_id())
        lab.until_history(good, "TaskCompleted")

    of_partitions = Counter(partition_of(name, 3) for name in waiting)
    assert set(of_partitions.values()) <= {1, 2}
    ended = {event.correlation_id for event in found(lab, events.RequestRefused)}
    assert ended == set(names) - waiting


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"tenant": "evil"}, "is of another tenant"),
        ({"agent": "evil"}, "is of another agent"),
        ({"tool": "shell.run"}, "the reply is of 'shell.run'"),
    ],
)
def test_a_reply_of_another_does_not_count(lab: SagaLab, forged: dict[str, str], reason: str) -> None:
    with lab.running():
        [session] = lab.submit(lab.new_id(), tenant="acme")
        lab.until_history(session, "PlanRequested")
        lab.reply_to(session, commands.CreatePlan)
        lab.until_history(session, "PlanStepReady")
        [*_, ready] = [one for one in lab.outputs(session) if isinstance(one, events.PlanStepReady)]
        completed = [one for one in lab.replies(ready) if isinstance(one, events.ToolCompleted)][-1]
        lab.send(replace(completed, **forged))
        assert reason in until_dead_letters(lab)[0]
        with lab.services():
            lab.until_history(session, "TaskCompleted")


def test_a_name_that_no_table_could_hold_is_a_dead_letter(lab: SagaLab) -> None:
    with lab.running():
        submit(lab, tenant="a" * 256)
        submit(lab, key="k" * 255)
        until_found(lab, events.TaskReceived, 1)
        assert until_dead_letters(lab) == ["the task's tenant has 256 characters, and may have 255"]

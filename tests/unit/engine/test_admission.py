"""Admission: replies before tasks, tasks in order and below the limit of sessions, escalated ones not counted."""

from msgspec.structs import replace

from orchestrator.messages import commands, events
from orchestrator.messages.identity import derived_id
from orchestrator.messages.types import FailureKind
from orchestrator.saga import Session
from orchestrator.testing.scenario import exhausted, failed, given, plan_created, task
from tests.support.scripted_consumer import ScriptedConsumer, active_session, assignment_of, record

REPLIES = [record(events.ToolCompleted, offset) for offset in range(5)]
TASKS = [record(commands.SubmitTask, offset) for offset in range(50)]


def sessions(count: int) -> list[Session]:
    return [
        replace(active_session(), correlation_id=derived_id("admission", number)) for number in range(count)
    ]


def escalated_session() -> Session:
    return given(task(), plan_created("a"), failed("a", FailureKind.PERMANENT)).when(exhausted()).state


def poll(*active: Session) -> tuple[ScriptedConsumer, ScriptedConsumer, list[object]]:
    """A burst of tasks and a few replies, and what a poll of at most 20 returns of them with a limit of 10 sessions."""
    group, tasks = ScriptedConsumer(*REPLIES, at_once=True), ScriptedConsumer(*TASKS, at_once=True)
    return group, tasks, list(assignment_of(group, tasks, *active).poll(20, 10, 0.01))


def test_replies_come_first_and_tasks_in_their_order() -> None:
    _, _, polled = poll(*sessions(3))

    assert polled == [*REPLIES, *TASKS[:7]]


def test_a_batch_full_of_replies_has_no_task() -> None:
    group, tasks = ScriptedConsumer(*REPLIES, at_once=True), ScriptedConsumer(*TASKS, at_once=True)
    polled = assignment_of(group, tasks, *sessions(3)).poll(len(REPLIES), 10, 0.01)

    assert polled == REPLIES
    assert list(tasks.records) == TASKS


def test_at_the_limit_tasks_stay_in_their_topic_and_replies_are_read() -> None:
    _, tasks, polled = poll(*sessions(10))

    assert polled == REPLIES
    assert list(tasks.records) == TASKS
    assert tasks.waits == []


def test_an_escalated_session_does_not_count_against_the_limit() -> None:
    _, _, polled = poll(*sessions(9), escalated_session())

    assert polled == [*REPLIES, TASKS[0]]


def test_a_session_with_a_large_task_takes_several_places() -> None:
    (large,) = sessions(1)
    assert large.task is not None
    submitted = replace(large.task.submitted, value=bytes(5 * 65_536))
    large = replace(large, task=replace(large.task, submitted=submitted))

    _, _, polled = poll(large)

    assert polled == [*REPLIES, *TASKS[:4]]


def test_a_session_that_ends_makes_room_for_the_next_task() -> None:
    ending, *others = sessions(10)
    tasks = ScriptedConsumer(*TASKS, at_once=True)
    assignment = assignment_of(ScriptedConsumer(), tasks, ending, *others)
    assert assignment.poll(20, 10, 0.01) == []

    assignment.partitions[0].end(ending.correlation_id, None, 1)

    assert assignment.poll(20, 10, 0.01) == TASKS[:1]

"""Who is let in: replies before tasks, tasks in their order and as long as there are places, people take none."""

from msgspec.structs import replace

from orchestrator.messages import commands, events
from orchestrator.messages.identity import derived_id
from orchestrator.messages.types import FailureKind
from orchestrator.saga import Session
from orchestrator.testing.scenario import exhausted, failed, given, plan_created, task
from tests.support.scripted import Scripted, owning, record, under_way

REPLIES = [record(events.ToolCompleted, offset) for offset in range(5)]
TASKS = [record(commands.SubmitTask, offset) for offset in range(50)]


def sessions(count: int) -> list[Session]:
    return [replace(under_way(), correlation_id=derived_id("admission", number)) for number in range(count)]


def parked() -> Session:
    return given(task(), plan_created("a"), failed("a", FailureKind.PERMANENT)).when(exhausted()).state


def waiting(*given: Session) -> tuple[Scripted, Scripted, list[object]]:
    """A burst of tasks and a few replies, and what is taken of them: 20 at most, where 10 sessions may be."""
    group, tasks = Scripted(*REPLIES, at_once=True), Scripted(*TASKS, at_once=True)
    return group, tasks, list(owning(group, tasks, *given).take(20, 10, 0.01))


def test_replies_come_first_and_tasks_in_their_order() -> None:
    _, _, taken = waiting(*sessions(3))

    assert taken == [*REPLIES, *TASKS[:7]]


def test_a_transaction_that_replies_fill_has_no_task() -> None:
    group, tasks = Scripted(*REPLIES, at_once=True), Scripted(*TASKS, at_once=True)
    taken = owning(group, tasks, *sessions(3)).take(len(REPLIES), 10, 0.01)

    assert taken == REPLIES
    assert list(tasks.records) == TASKS


def test_without_a_place_tasks_are_left_in_their_topic_and_replies_are_not() -> None:
    _, tasks, taken = waiting(*sessions(10))

    assert taken == REPLIES
    assert list(tasks.records) == TASKS
    assert tasks.waits == []


def test_a_session_that_waits_for_a_person_takes_no_place() -> None:
    _, _, taken = waiting(*sessions(9), parked())

    assert taken == [*REPLIES, TASKS[0]]


def test_a_session_that_ends_makes_room_for_the_next_task() -> None:
    ending, *others = sessions(10)
    tasks = Scripted(*TASKS, at_once=True)
    owned = owning(Scripted(), tasks, ending, *others)
    assert owned.take(20, 10, 0.01) == []

    owned.partitions[0].end(ending.correlation_id, 1)

    assert owned.take(20, 10, 0.01) == TASKS[:1]

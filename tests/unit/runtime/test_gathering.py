"""What the loop waits for: news gathers with what is behind it, answers do not, a quiet loop waits for tasks."""

from collections import deque
from typing import Any

import pytest

from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Reading, Received
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic, avro_name, entry_of
from orchestrator.runtime.gathering import may_gather
from orchestrator.runtime.live import LiveSession, Partition
from orchestrator.runtime.ownership import Ownership
from orchestrator.saga import Session
from orchestrator.saga.record import REPLIES
from tests.support.saga import Scenario, task

ANSWERS = [kind for kind in REPLIES if kind is not events.ToolSelected]


def record(kind: type[Message], *, named: bool = True) -> Received:
    headers = ((TYPE, avro_name(kind).encode()),) if named else ()
    return Received(entry_of(kind).topic, 0, 0, 0, None, b"", headers)


SELECTED, STARTED = record(events.ToolSelected), record(events.ToolStarted)
COMPLETED, SUBMITTED = record(events.ToolCompleted), record(commands.SubmitTask)


class Scripted:
    """A consumer that has these records, and notes how long it was waited for each time."""

    def __init__(self, *records: Received) -> None:
        self.records = deque(records)
        self.waits: list[float] = []

    def poll(self, timeout_s: float) -> Received | None:
        self.waits.append(timeout_s)
        return self.records.popleft() if self.records else None

    def drain(self, _n: int) -> list[Received]:
        return []

    def subscribe(self, *_: Any) -> None:
        """The partitions are here already."""


class ScriptedBus:
    def __init__(self, *consumers: Scripted) -> None:
        self.consumers = deque(consumers)

    def consumer(self, _reading: Reading) -> Any:
        return self.consumers.popleft()

    def partitions(self, _topic: Topic) -> int:
        return 1


def owning(group: Scripted, tasks: Scripted, *sessions: Session) -> Ownership:
    bus: Any = ScriptedBus(group, tasks, Scripted())
    nobody: Any = None
    owned = Ownership(bus, "orchestrator-0", nobody, (1.0, 1.0))
    owned.join()
    partition = owned.partitions[0] = Partition(0, {}, 0)
    for session in sessions:
        partition.put(LiveSession(session, 0, 0))
    return owned


def under_way() -> Session:
    scenario = Scenario()
    scenario.tell(task()(scenario))
    return scenario.state


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_no_answer_waits_for_company(kind: type[Message]) -> None:
    assert not may_gather([SELECTED, record(kind)])


def test_news_and_only_news_may_wait() -> None:
    assert may_gather([SELECTED, STARTED])
    assert not may_gather([SELECTED, SUBMITTED])
    assert not may_gather([record(events.ToolSelected, named=False)])


def test_a_selection_is_taken_with_the_answer_behind_it() -> None:
    group = Scripted(SELECTED, COMPLETED, STARTED)
    owned = owning(group, Scripted(), under_way())

    assert owned.take(100, 10, 0.01) == [SELECTED, COMPLETED]


def test_news_that_nothing_follows_is_taken_after_a_moment() -> None:
    group = Scripted(SELECTED)
    owned = owning(group, Scripted(), under_way())

    assert owned.take(100, 10, 0.01) == [SELECTED]


def test_no_more_gathers_than_a_transaction_takes() -> None:
    owned = owning(Scripted(*[SELECTED] * 5), Scripted(), under_way())

    assert len(owned.take(3, 10, 0.01)) == 3


def test_while_sessions_are_under_way_events_are_waited_for() -> None:
    group, tasks = Scripted(), Scripted(SUBMITTED)
    owning(group, tasks, under_way()).take(100, 10, 0.01)

    assert group.waits == [0.01]
    assert tasks.waits == []


def test_while_none_is_a_task_is_waited_for() -> None:
    group, tasks = Scripted(), Scripted(SUBMITTED)
    taken = owning(group, tasks).take(100, 10, 0.01)

    assert group.waits == [0]
    assert tasks.waits == [0.01]
    assert taken == [SUBMITTED]

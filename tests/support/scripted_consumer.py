"""The partitions of a slot, with consumers that return the records a test gives them."""

from collections import deque
from typing import Any

from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Reading, Received
from orchestrator.engine.assignment import SlotAssignment
from orchestrator.engine.state.partition import LiveSession, Partition
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic, avro_name, entry_of
from orchestrator.saga import Session
from orchestrator.testing.scenario import given, task


def record(kind: type[Message], offset: int = 0, *, named: bool = True) -> Received:
    headers = ((TYPE, avro_name(kind).encode()),) if named else ()
    return Received(entry_of(kind).topic, 0, offset, 0, None, b"", headers)


class ScriptedConsumer:
    """A consumer that returns these records, and notes the timeout of each poll. They arrive one by one, or `at_once`,
    as if the client had fetched them already."""

    def __init__(self, *records: Received, at_once: bool = False) -> None:
        self.records = deque(records)
        self.waits: list[float] = []
        self._at_once = at_once

    def poll(self, timeout_s: float) -> Received | None:
        self.waits.append(timeout_s)
        return self.records.popleft() if self.records else None

    def drain(self, n: int) -> list[Received]:
        count = min(n, len(self.records)) if self._at_once else 0
        return [self.records.popleft() for _ in range(count)]

    def subscribe(self, *_: Any) -> None:
        """Does nothing: the test assigns the partitions."""


class ScriptedBus:
    """Hands out these consumers, in this order."""

    def __init__(self, *consumers: ScriptedConsumer) -> None:
        self.consumers = deque(consumers)

    def consumer(self, _reading: Reading) -> Any:
        return self.consumers.popleft()

    installation = "scripted"

    def partitions(self, _topic: Topic) -> int:
        return 1


def assignment_of(group: ScriptedConsumer, tasks: ScriptedConsumer, *sessions: Session) -> SlotAssignment:
    """An assignment of partition 0 with these live sessions."""
    bus: Any = ScriptedBus(group, tasks, ScriptedConsumer())
    no_encoder: Any = None
    assignment = SlotAssignment(bus, "orchestrator-0", no_encoder, (1.0, 1.0))
    assignment.join()
    partition = assignment.partitions[0] = Partition(0, {}, 0)
    for session in sessions:
        partition.put(LiveSession(session, 0, 0))
    return assignment


def active_session() -> Session:
    return given(task()).state

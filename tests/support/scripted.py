"""What one slot of the orchestrator owns, with consumers that have what a test gives them."""

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


class Scripted:
    """A consumer that has these records, and notes how long it was waited for each time. They come one by one,
    or `at_once`, as what a client has fetched."""

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
        """The partitions are here already."""


class ScriptedBus:
    def __init__(self, *consumers: Scripted) -> None:
        self.consumers = deque(consumers)

    def consumer(self, _reading: Reading) -> Any:
        return self.consumers.popleft()

    def partitions(self, _topic: Topic) -> int:
        return 1


def owning(group: Scripted, tasks: Scripted, *sessions: Session) -> SlotAssignment:
    """Owns partition 0, in which these sessions live."""
    bus: Any = ScriptedBus(group, tasks, Scripted())
    nobody: Any = None
    owned = SlotAssignment(bus, "orchestrator-0", nobody, (1.0, 1.0))
    owned.join()
    partition = owned.partitions[0] = Partition(0, {}, 0)
    for session in sessions:
        partition.put(LiveSession(session, 0, 0))
    return owned


def under_way() -> Session:
    return given(task()).state

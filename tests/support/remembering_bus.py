"""A bus that remembers the offsets that transactions commit, which the embedded broker does not."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import (
    Bus,
    Commit,
    Consumer,
    GroupMetadata,
    Position,
    Producer,
    Reading,
    TransactionalProducer,
)
from orchestrator.messages.catalogue import Topic


class RememberingBus:
    """Sends all requests to the bus below, and overlays its responses with the remembered offsets. One group only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._remembered: dict[Position, Commit] = {}

    def consumer(self, reading: Reading) -> Consumer:
        made: Any = self._bus.consumer(reading)
        fetch = made.committed

        def committed(positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
            places = tuple(positions)
            found: dict[Position, Commit] = fetch(places, deadline)
            return found | {place: self._remembered[place] for place in places if place in self._remembered}

        made.committed = committed
        consumer: Consumer = made
        return consumer

    def producer(self) -> Producer:
        return self._bus.producer()

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        made: Any = self._bus.transactional_producer(transactional_id)
        send_offsets, commit = made.send_offsets, made.commit
        staged: dict[Position, Commit] = {}

        def remember_when_committed(
            offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
        ) -> None:
            staged.clear()
            send_offsets(offsets, group, deadline)
            staged.update(offsets)

        def commit_and_remember(deadline: Deadline) -> None:
            commit(deadline)
            self._remembered.update(staged)

        made.send_offsets, made.commit = remember_when_committed, commit_and_remember
        producer: TransactionalProducer = made
        return producer

    @property
    def installation(self) -> str:
        return self._bus.installation

    def partitions(self, topic: Topic) -> int:
        return self._bus.partitions(topic)

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        return self._bus.watermarks(positions, deadline, read_uncommitted=read_uncommitted)

    def topic_ids(self, topics: Collection[Topic]) -> dict[Topic, str]:
        return self._bus.topic_ids(topics)

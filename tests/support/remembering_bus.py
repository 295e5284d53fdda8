"""A cluster that keeps the offsets that transactions commit, which the embedded broker does not."""

from collections.abc import Iterable, Mapping
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
    """All requests are made as they would be; what is remembered is put over the answers. One group only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: dict[Position, Commit] = {}

    def consumer(self, reading: Reading) -> Consumer:
        made: Any = self._bus.consumer(reading)
        asked = made.committed

        def committed(positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
            places = tuple(positions)
            found: dict[Position, Commit] = asked(places, deadline)
            return found | {place: self._kept[place] for place in places if place in self._kept}

        made.committed = committed
        consumer: Consumer = made
        return consumer

    def producer(self) -> Producer:
        return self._bus.producer()

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        made: Any = self._bus.transactional_producer(transactional_id)
        send_offsets, commit = made.send_offsets, made.commit
        staged: dict[Position, Commit] = {}

        def kept_when_committed(
            offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
        ) -> None:
            staged.clear()
            send_offsets(offsets, group, deadline)
            staged.update(offsets)

        def committed(deadline: Deadline) -> None:
            commit(deadline)
            self._kept.update(staged)

        made.send_offsets, made.commit = kept_when_committed, committed
        producer: TransactionalProducer = made
        return producer

    def partitions(self, topic: Topic) -> int:
        return self._bus.partitions(topic)

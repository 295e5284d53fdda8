"""A bus that counts the bytes sent through it."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import (
    Bus,
    Consumer,
    OnDelivery,
    Outgoing,
    Position,
    Producer,
    Reading,
    TransactionalProducer,
)
from orchestrator.messages.catalogue import Topic


@dataclass
class CountingBus:
    """Wraps another bus. `sizes` are bytes of keys, values and headers by topic, including aborted transactions."""

    bus: Bus
    sizes: Counter[str] = field(default_factory=Counter)

    def consumer(self, reading: Reading) -> Consumer:
        return self.bus.consumer(reading)

    def producer(self) -> Producer:
        made = self.bus.producer()
        send = made.send

        def counted(outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
            self._count(outgoing)
            send(outgoing, on_delivery)

        made.send = counted  # type: ignore[method-assign]
        return made

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        made = self.bus.transactional_producer(transactional_id)
        send = made.send

        def counted(outgoing: Outgoing) -> None:
            self._count(outgoing)
            send(outgoing)

        made.send = counted  # type: ignore[method-assign]
        return made

    @property
    def installation(self) -> str:
        return self.bus.installation

    def partitions(self, topic: Topic) -> int:
        return self.bus.partitions(topic)

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        return self.bus.watermarks(positions, deadline, read_uncommitted=read_uncommitted)

    def topic_ids(self, topics: Collection[Topic]) -> dict[Topic, str]:
        return self.bus.topic_ids(topics)

    def _count(self, outgoing: Outgoing) -> None:
        headers = sum(len(name) + len(value) for name, value in outgoing.headers)
        self.sizes[outgoing.topic] += len(outgoing.key) + len(outgoing.value or b"") + headers

"""Topics in memory: every message goes through the wire's bytes, as it would over Kafka."""

from collections import Counter
from collections.abc import Callable

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.messages.base import Message

PARTITION = 0
"""There is one, so that everything about a session meets in it."""


class Topics:
    """What was written, in order. Each topic has one partition."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.codec = Codec(CatalogueIds())
        self.messages: list[Message] = []
        """Every message, as a reader decodes it."""
        self._now = now
        self._ends: Counter[str] = Counter()

    def append(self, message: Message, source: str) -> tuple[Received, Message]:
        """The record, and the message that it decodes to. Raises `ContractError` for what does not fit."""
        outgoing = self.codec.encode(message, source=source)
        received = Received(
            topic=outgoing.topic,
            partition=PARTITION,
            offset=self._ends[outgoing.topic],
            timestamp_ms=self._now() // 1_000,
            key=outgoing.key,
            value=outgoing.value,
            headers=outgoing.headers,
        )
        self._ends[outgoing.topic] += 1
        decoded: Message = self.codec.decode(received)
        self.messages.append(decoded)
        return received, decoded

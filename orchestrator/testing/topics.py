"""Topics in memory: every message is encoded and decoded, as it is with Kafka."""

from collections import Counter
from collections.abc import Callable

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.messages.base import Message

PARTITION = 0
"""The only partition of each topic."""


class Topics:
    """The messages that were written, in order."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.codec = Codec(CatalogueIds())
        self.messages: list[Message] = []
        """All messages, as readers decode them."""
        self._now = now
        self._ends: Counter[str] = Counter()

    def check(self, message: Message) -> None:
        """Raises `ContractError` for a message that does not fit its schema."""
        self.codec.encode(message, source="/check")

    def append(self, message: Message, source: str) -> tuple[Received, Message]:
        """The record, and the message decoded from it. Raises `ContractError` for one that does not fit its schema."""
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

"""Promises that every consumer keeps about what it writes."""

from collections.abc import Iterable

from orchestrator.bus.ports import Outgoing, Received
from orchestrator.delivery.dead_letters import bounded_dead_letter, dead_letter
from orchestrator.delivery.sizes import RECORD_BYTES, size_of
from orchestrator.messages.base import Message
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.types import Failure
from tests.fuzz.mutators.records import CODEC, OFFSET
from tests.fuzz.target import promise

BOUNDED_BYTES = 32 * 1024
"""Far below every limit of a broker: the bounded form of a dead letter, whatever it is about."""
NOW = 1_790_000_000_000_000


def readable(records: Iterable[Outgoing]) -> None:
    """What is written fits into Kafka, and can be read by everybody who reads its topic."""
    for number, one in enumerate(records):
        promise(size_of(one) <= RECORD_BYTES, f"a record of {size_of(one)} bytes is written")
        if one.value is not None and one.headers:
            CODEC.decode_now(received(one, OFFSET + number))


def received(outgoing: Outgoing, offset: int) -> Received:
    """A written record as its readers get it."""
    return Received(outgoing.topic, 0, offset, NOW // 1_000, outgoing.key, outgoing.value, outgoing.headers)


def dead_lettered(about: Received, failure: Failure, service: str, message: Message | None = None) -> None:
    """The dead letter of a record can be written, and its bounded form fits everywhere."""
    made = dead_letter(about, failure, service=service, stage="decode", now=NOW, message=message)
    CODEC.encode(made, source="/fuzz/0")
    written = CODEC.encode(bounded_dead_letter(made), source="/fuzz/0")
    promise(size_of(written) <= BOUNDED_BYTES, f"a bounded dead letter has {size_of(written)} bytes")
    again = CODEC.decode_now(received(written, 0))
    promise(isinstance(again, MessageDeadLettered), "a dead letter is read as one")

"""Headers of our messages: CloudEvents 1.0 in binary mode (Kafka protocol binding) and W3C Trace Context."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from orchestrator.bus.ports import Headers, Received
from orchestrator.messages.base import Command, Definition, Event, Message, Record
from orchestrator.messages.types import (
    EndedSessions,
    PartitionCheckpoint,
    QuarantinedSession,
    SessionSnapshot,
)

OfSession: TypeAlias = Command | Event
Timed: TypeAlias = OfSession | Definition

TYPE: Final = "ce_type"
ID: Final = "ce_id"
SOURCE: Final = "ce_source"
TIME: Final = "ce_time"
CORRELATION_ID: Final = "ce_correlationid"
CAUSATION_ID: Final = "ce_causationid"
TRACEPARENT: Final = "traceparent"
SIGNATURE: Final = "signature"
"""Of the record's value, on commands to services."""

CONTENT_TYPE: Final = ("content-type", b"application/avro")
SPEC_VERSION: Final = ("ce_specversion", b"1.0")


def type_of(received: Received) -> str | None:
    """Full Avro name of a message, from its header alone: consumers filter by it before they decode."""
    header = received.header(TYPE)
    return None if header is None else header.decode("utf-8", "replace")


def headers_of(message: Message | Record, avro_name: bytes, source: bytes, traceparent: str) -> Headers:
    """The headers of a message; its type comes first, because every reader looks for it."""
    headers = [
        (TYPE, avro_name),
        (ID, message_id(message).encode()),
        (SOURCE, source),
        SPEC_VERSION,
        CONTENT_TYPE,
    ]
    if isinstance(message, Timed):
        headers.append((TIME, rfc3339(message.occurred_at).encode()))
    if isinstance(message, OfSession):
        headers.append((CORRELATION_ID, message.correlation_id.encode()))
        if message.causation_id:
            headers.append((CAUSATION_ID, message.causation_id.encode()))
    if traceparent:
        headers.append((TRACEPARENT, traceparent.encode()))
    return tuple(headers)


def message_id(message: Message | Record) -> str:
    """The value of `ce_id`: the message's own id, or what a snapshot is of."""
    match message:
        case Command() | Event() | Definition():
            return message.message_id
        case SessionSnapshot() | QuarantinedSession():
            return f"{message.correlation_id}/{message.sequence}"
        case PartitionCheckpoint():
            return f"checkpoint/{message.partition}/{message.batch}"
        case EndedSessions():
            return f"ended/{message.chunk}/{len(message.ids)}"
        case _:
            raise TypeError(f"{type(message).__name__} is not a message that is sent on its own")


_FIRST_MICROS: Final = -62_135_596_800_000_000
_LAST_MICROS: Final = 253_402_300_799_999_999


def rfc3339(micros: int) -> str:
    """Unix time in microseconds as RFC 3339 text in UTC. Messages of others may hold any number: one outside of the
    years 1 to 9999 is the nearest inside."""
    second, fraction = divmod(min(max(micros, _FIRST_MICROS), _LAST_MICROS), 1_000_000)
    return f"{_second(second)}.{fraction:06d}Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

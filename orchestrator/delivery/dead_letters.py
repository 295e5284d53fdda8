"""Dead letters: the original record byte for byte, the failure, and the service that reports it; capped in rate."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from orchestrator.bus.ports import Received
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.identity import canonical_uuid, derived_id
from orchestrator.messages.types import Failure, Header, OriginalMessage

DECODE: Final = "decode"
"""Stage: the record is not a message of the catalogue."""
HANDLE: Final = "handle"
"""Stage: the handler raised, or its outputs cannot be sent."""
UNDECODABLE: Final = "undecodable"
"""Failure code: the body does not decode."""

_BURST: Final = 100
_PER_SECOND: Final = 10.0


class DeadLetterCap:
    """At most `burst` dead letters at once and `per_second` after that.

    Without a cap, a fault that dead-letters every record would dead-letter the whole backlog before an operator can
    look at the first one. Nothing is dropped: records that are not read stay in their topic. Used by one thread.
    """

    def __init__(
        self,
        burst: int = _BURST,
        per_second: float = _PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spacing = 1 / per_second
        """Seconds between two dead letters."""
        self._ahead = burst * self.spacing
        self._clock = clock
        self._next = clock() - self._ahead

    def spend(self, count: int = 1) -> float:
        """Counts dead letters. Returns the seconds until the last of them is within the rate, 0 if it is already."""
        now = self._clock()
        self._next = max(self._next, now - self._ahead) + count * self.spacing
        return max(0.0, self._next - now)

    async def admit(self) -> None:
        """Returns when the next dead letter may be written. A handler that waits stays in flight, so a flood of bad
        messages slows down its topic."""
        seconds = self.spend()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def allowed(self, records: int) -> int:
        """How many of `records` may be read now: all of them if no dead letters came recently, otherwise as many
        as there may be dead letters."""
        unspent = self._clock() - self._next
        return records if unspent >= self._ahead else min(records, max(0, int(unspent / self.spacing)))


def original(received: Received) -> OriginalMessage:
    """The record as it is in its topic."""
    return OriginalMessage(
        topic=received.topic.value,
        partition=received.partition,
        offset=received.offset,
        timestamp_ms=max(0, received.timestamp_ms),
        key=received.key,
        value=received.value,
        headers=tuple(Header(name=name, value=value) for name, value in received.headers),
    )


def dead_letter(
    received: Received,
    failure: Failure,
    *,
    service: str,
    stage: str,
    now: int,
    message: Message | None = None,
) -> MessageDeadLettered:
    """The dead letter of a record. Its id is derived from the record's location and the service.

    `message` is the decoded record, if it decodes; `now` is Unix time in microseconds.
    """
    place = (received.topic.value, received.partition, received.offset)
    known = message if isinstance(message, Command | Event) else None
    return MessageDeadLettered(
        event_id=derived_id("dead-letter", service, *place),
        correlation_id=known.correlation_id if known else _session_of(received, place),
        causation_id=known.message_id if known else "",
        occurred_at=now,
        agent=known.agent if known else "",
        tenant=known.tenant if known else "",
        original=original(received),
        failure=failure,
        service=service,
        stage=stage,
    )


def without_value(dead_letter: MessageDeadLettered) -> MessageDeadLettered:
    """The dead letter without the body of its record, which is too large for a dead letter."""
    failure, original = dead_letter.failure, dead_letter.original
    message = f"{failure.message} (the record is too large for a dead letter: read it from its topic)"
    return replace(
        dead_letter,
        original=replace(original, value=None),
        failure=replace(failure, message=message),
    )


def _session_of(received: Received, place: tuple[str, int, int]) -> str:
    """The session of a record that does not decode: that of its key or header, or one derived from its location."""
    for name in (received.key, received.header("ce_correlationid")):
        if name is not None and (found := canonical_uuid(name.decode(errors="replace"))):
            return found
    return derived_id("dead-letter-session", *place)

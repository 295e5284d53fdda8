"""Dead letters: the message byte for byte, why, and by whom. Their rate is capped."""

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
"""Stage: the bytes are no message of the catalogue."""
HANDLE: Final = "handle"
"""Stage: the handler raised, or its outputs cannot be sent."""
UNDECODABLE: Final = "undecodable"
"""Code of the failure of a body that is no message."""

_BURST: Final = 100
_PER_SECOND: Final = 10.0


class DeadLetterCap:
    """At most `burst` dead letters at once and `per_second` after that.

    A fault that makes a dead letter of every record would else make one of all that waits, before anybody can
    look at the first. Nothing is dropped: what is not taken stays where it lies. Used by one thread.
    """

    def __init__(
        self,
        burst: int = _BURST,
        per_second: float = _PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spacing = 1 / per_second
        """Seconds between two letters."""
        self._ahead = burst * self.spacing
        self._clock = clock
        self._next = clock() - self._ahead

    def spend(self, letters: int = 1) -> float:
        """Counts letters; gives the seconds until the last of them was due, 0 where it is."""
        now = self._clock()
        self._next = max(self._next, now - self._ahead) + letters * self.spacing
        return max(0.0, self._next - now)

    async def admit(self) -> None:
        """Returns when the next dead letter may be written. Whoever waits holds its place in flight, so that a
        flood of bad messages slows its topic down."""
        seconds = self.spend()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def most(self, records: int) -> int:
        """How many of these records may be taken now: all of them while there were no letters lately, then as
        many as there may be letters."""
        unspent = self._clock() - self._next
        return records if unspent >= self._ahead else min(records, max(0, int(unspent / self.spacing)))


def original(received: Received) -> OriginalMessage:
    """The record as it lay in its topic."""
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
    """The dead letter of a record. Its id follows from where the record lies and from who gave up.

    `message` is the record decoded, where it could be; `now` is Unix time in microseconds.
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


def without_value(letter: MessageDeadLettered) -> MessageDeadLettered:
    """The dead letter for a record that is too large to stand in one."""
    lost = f"{letter.failure.message} (the record is too large for a dead letter: read it where it lies)"
    return replace(
        letter,
        original=replace(letter.original, value=None),
        failure=replace(letter.failure, message=lost),
    )


def _session_of(received: Received, place: tuple[str, int, int]) -> str:
    """The session of a record that cannot be read: what its key or header names, or one of its own."""
    for name in (received.key, received.header("ce_correlationid")):
        if name is not None and (found := canonical_uuid(name.decode(errors="replace"))):
            return found
    return derived_id("dead-letter-session", *place)

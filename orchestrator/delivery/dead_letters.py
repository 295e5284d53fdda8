"""Dead letters: the original record, the failure, and the service that reports it."""

from typing import Final

from msgspec.structs import replace

from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Received
from orchestrator.delivery.originals import bounded, original
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.encodable import encodable
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.identity import canonical_uuid, derived_id
from orchestrator.messages.types import Failure, FailureKind

HANDLE: Final = "handle"
"""Stage: the handler raised, or its outputs cannot be sent."""
UNDECODABLE: Final = "undecodable"
"""Failure code: the body does not decode."""
FORGED: Final = "forged"
"""Failure code: no orchestrator has opened the call that a command or a reply names."""
SCHEMA_UNRESOLVED: Final = "schema_unresolved"
"""Failure code: the registry did not respond for so long that the record was set aside. Writing it to its topic again
may succeed."""

LONGEST_NAME: Final = 200
"""Characters of an id, an agent or a tenant that a dead letter repeats. Who writes a message may make them longer."""
LONGEST_REASON: Final = 2_000
"""Characters of the reason that a dead letter gives."""


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
    session = encodable(known.correlation_id) if known else ""
    return MessageDeadLettered(
        event_id=derived_id("dead-letter", service, *place),
        correlation_id=session if 0 < len(session) <= LONGEST_NAME else _session_of(received, place),
        causation_id=encodable(known.message_id, LONGEST_NAME) if known else "",
        occurred_at=now,
        agent=encodable(known.agent, LONGEST_NAME) if known else "",
        tenant=encodable(known.tenant, LONGEST_NAME) if known else "",
        original=original(received),
        failure=written(failure),
        service=service,
        stage=stage,
    )


def has_dead_letter(received: Received) -> bool:
    """Whether a record that cannot be processed has a dead letter. A dead letter has none: who cannot process it cannot
    process the next one either, which would hold it, and so on without end. It stays in its topic, and in the log."""
    return received.topic is not Topic.DEAD_LETTERS


def bounded_dead_letter(whole: MessageDeadLettered) -> MessageDeadLettered:
    """The dead letter with the beginning of every part of its record alone: it fits wherever a message of ours does."""
    kept = bounded(whole.original)
    if not kept.cut:
        return whole
    parts = " and ".join(part.part for part in kept.cut)
    note = (
        f" (only the beginning of its {parts} is kept here: read the record at offset {kept.offset} of "
        f"{kept.topic}, partition {kept.partition})"
    )
    return replace(
        whole,
        original=kept,
        failure=_noted(whole.failure, note),
        agent=encodable(whole.agent, LONGEST_NAME),
        tenant=encodable(whole.tenant, LONGEST_NAME),
    )


def without_state(whole: MessageDeadLettered) -> MessageDeadLettered:
    """The dead letter without the state of its session, which the value store does not take now."""
    note = " (the session's state is left out: the value store did not take it)"
    return replace(whole, state=None, failure=_noted(whole.failure, note))


def _noted(failure: Failure, note: str) -> Failure:
    """The failure with a note behind what it says, within the bound of both."""
    return replace(failure, message=encodable(failure.message, LONGEST_REASON - len(note)) + note)


def written(failure: Failure) -> Failure:
    """The failure as a dead letter says it: an exception may hold any text of any length."""
    return replace(
        failure,
        code=encodable(failure.code, LONGEST_NAME),
        message=encodable(failure.message, LONGEST_REASON),
    )


def unresolved(error: SchemaUnresolved) -> Failure:
    """Why a record is set aside that may be sound."""
    return Failure(kind=FailureKind.TRANSIENT, code=SCHEMA_UNRESOLVED, message=str(error))


def _session_of(received: Received, place: tuple[str, int, int]) -> str:
    """The session of a record that does not decode: that of its key or header, or one derived from its location."""
    for name in (received.key, received.header("ce_correlationid")):
        if name is not None and (found := canonical_uuid(name.decode(errors="replace"))):
            return found
    return derived_id("dead-letter-session", *place)

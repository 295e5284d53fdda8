"""What the loop writes when it cannot process a record, a session or a task: dead letters of records and sessions,
and the refusal of a task whose outputs are too large."""

from typing import Final

from msgspec.structs import replace

from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import dead_letter, original
from orchestrator.delivery.failed_replies import TOO_LARGE
from orchestrator.errors import ContractError
from orchestrator.messages import events, identity
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind, OriginalMessage, QuarantinedSession, Value
from orchestrator.messages.values import json_value
from orchestrator.saga import Session, Submission

SERVICE: Final = "orchestrator"
_MAX_REASON: Final = 2_000
"""Characters of the reason for a quarantine that are kept."""


def record_dead_letter(received: Received, problem: str, stage: str, now: int) -> events.MessageDeadLettered:
    """The dead letter of a record that is not an input of any session."""
    failure = Failure(kind=FailureKind.PERMANENT, code="not_processable", message=problem)
    return dead_letter(received, failure, service=SERVICE, stage=stage, now=now)


def quarantine_failure(code: str, reason: str) -> Failure:
    """Why a session is quarantined."""
    # An exception may hold any text: a reason that cannot be encoded must not prevent the dead letter.
    printable = reason.encode("utf-8", "replace").decode()[:_MAX_REASON]
    return Failure(kind=FailureKind.PERMANENT, code=code, message=printable)


def quarantined_session(
    correlation_id: str, session: Session | None, failure: Failure, now: int
) -> QuarantinedSession:
    """The record that keeps a session quarantined over restarts."""
    return QuarantinedSession(
        correlation_id=correlation_id,
        sequence=session.sequence if session else 0,
        quarantined_at=now,
        reason=failure.message,
    )


def session_dead_letter(
    correlation_id: str,
    session: Session | None,
    failure: Failure,
    now: int,
    received: Received | None = None,
) -> events.MessageDeadLettered:
    """The dead letter of a quarantined session: the record that broke it, or its task, and its state."""
    sequence = session.sequence if session else 0
    return events.MessageDeadLettered(
        event_id=identity.derived_id("quarantine", correlation_id, sequence),
        correlation_id=correlation_id,
        occurred_at=now,
        agent=session.agent if session else "default",
        tenant=session.tenant if session else "default",
        original=_original(session, received),
        failure=failure,
        service=SERVICE,
        stage="decide",
        state=_state(session),
        sequence=sequence,
    )


def refused(input: Submission, problem: str) -> Submission:
    """The submission as one to refuse, because its outputs are too large. Its record is referenced, not copied."""
    failure = Failure(kind=FailureKind.INVALID_INPUT, code=TOO_LARGE, message=problem)
    return replace(input, refusal=failure, original=replace(input.original, value=None))


def _original(session: Session | None, received: Received | None) -> OriginalMessage:
    if received is not None:
        return original(received)
    if session is not None and session.task is not None:
        return session.task.submitted
    return OriginalMessage(topic=Topic.SESSIONS.value, partition=0, offset=0)


def _state(session: Session | None) -> Value | None:
    try:
        return json_value(session) if session else None
    except ContractError:
        # A state that cannot be encoded must not prevent the dead letter of its session.
        return None

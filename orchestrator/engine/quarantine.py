"""What the loop writes when it cannot process a record or a session: their dead letters."""

from typing import Final

from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import dead_letter, written
from orchestrator.delivery.originals import original
from orchestrator.messages import events, identity
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind, OriginalMessage, QuarantinedSession, Value
from orchestrator.messages.values import json_value
from orchestrator.saga import Session

SERVICE: Final = "orchestrator"


def not_processable(problem: str) -> Failure:
    """Why a record can never be processed."""
    return Failure(kind=FailureKind.PERMANENT, code="not_processable", message=problem)


def record_dead_letter(
    received: Received, failure: Failure, stage: str, now: int
) -> events.MessageDeadLettered:
    """The dead letter of a record that is not an input of any session."""
    return dead_letter(received, failure, service=SERVICE, stage=stage, now=now)


def quarantine_failure(code: str, reason: str) -> Failure:
    """Why a session is quarantined."""
    # An exception may hold any text: a reason that cannot be encoded must not prevent the dead letter.
    return written(Failure(kind=FailureKind.PERMANENT, code=code, message=reason))


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


def _original(session: Session | None, received: Received | None) -> OriginalMessage:
    if received is not None:
        return original(received)
    if session is not None and session.task is not None:
        return session.task.submitted
    return OriginalMessage(topic=Topic.SESSIONS.value, partition=0, offset=0)


def _state(session: Session | None) -> Value | None:
    try:
        return json_value(session) if session else None
    except Exception:  # noqa: BLE001
        # A state that cannot be encoded must not prevent the dead letter of its session.
        return None

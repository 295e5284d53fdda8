"""What is written when something cannot go on: dead letters of records and of sessions, and the replies that
take the place of those whose consequences no broker takes."""

from typing import Final

from msgspec.structs import replace

from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import dead_letter, original
from orchestrator.delivery.failed_replies import TOO_LARGE
from orchestrator.errors import ContractError
from orchestrator.messages import events, identity
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind, OriginalMessage, Value
from orchestrator.messages.values import json_value
from orchestrator.saga import Session, Submission

SERVICE: Final = "orchestrator"


def record_dead_letter(
    received: Received, failure: Failure, stage: str, now: int
) -> events.MessageDeadLettered:
    """The dead letter of a record that is no input of any session."""
    return dead_letter(received, failure, service=SERVICE, stage=stage, now=now)


def session_dead_letter(
    correlation_id: str,
    session: Session | None,
    failure: Failure,
    stage: str,
    now: int,
    received: Received | None = None,
) -> events.MessageDeadLettered:
    """The dead letter of a session that cannot go on: what it was input, or its task, and its state."""
    sequence = session.sequence if session else 0
    return events.MessageDeadLettered(
        event_id=identity.derived_id("quarantine", correlation_id, sequence),
        correlation_id=correlation_id,
        occurred_at=now,
        agent=session.agent if session else "default",
        tenant=session.tenant if session else "default",
        original=_known(session, received),
        failure=failure,
        service=SERVICE,
        stage=stage,
        state=_state(session),
        sequence=sequence,
    )


def refused(input: Submission, problem: str) -> Submission:
    """The task, to be refused because what follows from it is too large. Its record stays where it lies."""
    failure = Failure(kind=FailureKind.INVALID_INPUT, code=TOO_LARGE, message=problem)
    return replace(input, refusal=failure, original=replace(input.original, value=None))


def _known(session: Session | None, received: Received | None) -> OriginalMessage:
    if received is not None:
        return original(received)
    if session is not None and session.task is not None:
        return session.task.submitted
    return OriginalMessage(topic=Topic.SESSIONS.value, partition=0, offset=0)


def _state(session: Session | None) -> Value | None:
    try:
        return json_value(session) if session else None
    except ContractError:
        # The dead letter of a broken session must not break as well.
        return None

"""Letting go: of calls, and of a session that cannot go on."""

from orchestrator.messages import events, identity
from orchestrator.messages.types import Failure
from orchestrator.messages.values import json_value
from orchestrator.saga.outputs import Drafts, draft
from orchestrator.saga.state import Session, Task


def escalation(session: Session, task: Task, failure: Failure) -> Drafts:
    """The session is parked until its deadline, and a dead letter tells all about it."""
    letter = identity.derived_id("dead-letter", session.correlation_id, session.sequence)
    return [
        *voided(session),
        draft(
            events.TaskEscalated,
            failure=failure,
            dead_letter_id=letter,
            expires_at=task.deadline_at,
            total=session.used,
            received_at=task.received_at,
        ),
        draft(
            events.MessageDeadLettered,
            event_id=letter,
            original=task.submitted,
            failure=failure,
            service="orchestrator",
            stage="escalate",
            state=json_value(session),
            sequence=session.sequence,
        ),
    ]


def voided(session: Session) -> Drafts:
    """Tells whoever runs a call of the session to stop."""
    if not session.calls:
        return []
    return [draft(events.CallsVoided, calls=tuple(session.calls), reason="the session no longer waits")]

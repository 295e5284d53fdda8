"""Escalation: a session that cannot go on waits for a person."""

from orchestrator.messages import events, identity
from orchestrator.messages.types import Failure
from orchestrator.messages.values import json_value
from orchestrator.saga.calls import voided
from orchestrator.saga.outputs import Drafts, draft
from orchestrator.saga.state import Session, Task


def escalation(session: Session, task: Task, failure: Failure) -> Drafts:
    """Parks the session until its deadline. A dead letter holds its task and its state."""
    dead_letter_id = identity.derived_id("dead-letter", session.correlation_id, session.sequence)
    return [
        *voided(session),
        draft(
            events.TaskEscalated,
            failure=failure,
            dead_letter_id=dead_letter_id,
            expires_at=task.deadline_at,
            total=session.used,
            received_at=task.received_at,
        ),
        draft(
            events.MessageDeadLettered,
            event_id=dead_letter_id,
            original=task.submitted,
            failure=failure,
            service="orchestrator",
            stage="escalate",
            state=json_value(session),
            sequence=session.sequence,
        ),
    ]

"""The failure that replaces a reply which cannot be sent, so that its session learns why and does not wait."""

from typing import Any, Final

from orchestrator.messages import events, identity
from orchestrator.messages.base import Event, Message
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.messages.usage import NO_USAGE, is_sendable
from orchestrator.saga import Input

TOO_LARGE: Final = "too_large"
"""Failure code: the message exceeds the size limit."""
UNENCODABLE: Final = "unencodable"
"""Failure code: the message has something that its schema cannot hold."""


def failed_reply(reply: Input | Message, problem: str, now: int, code: str = TOO_LARGE) -> Event | None:
    """The failure that replaces a reply, for the same call or review; None if the message is not a reply that a
    failure can replace.

    It goes to the events topic, so recovery handles it as any other failure. If it is recovery's own, nothing is left
    to try.
    """
    failure = Failure(kind=FailureKind.PERMANENT, code=code, message=problem)
    if not isinstance(
        reply,
        events.PlanCreated
        | events.PlanReviewed
        | events.ToolCompleted
        | events.TaskEvaluated
        | events.RetryScheduled
        | events.FallbackChosen,
    ):
        return None
    envelope: dict[str, Any] = {
        "event_id": identity.derived_id("instead", reply.event_id),
        "correlation_id": reply.correlation_id,
        "causation_id": reply.event_id,
        "occurred_at": now,
        "agent": reply.agent,
        "tenant": reply.tenant,
        "failure": failure,
        # It may be what cannot be sent.
        "usage": reply.usage if is_sendable(reply.usage) else NO_USAGE,
    }
    match reply:
        case events.PlanCreated():
            return events.PlanningFailed(**envelope, call=reply.call)
        case events.PlanReviewed():
            return events.ReviewFailed(
                **envelope,
                plan_call_id=reply.plan_call_id,
                revision=reply.revision,
                reviewer=reply.review.reviewer,
            )
        case events.ToolCompleted():
            return events.ToolFailed(**envelope, call=reply.call, tool=reply.tool)
        case events.TaskEvaluated():
            return events.EvaluationFailed(**envelope, call=reply.call)
        case events.RetryScheduled() | events.FallbackChosen():
            return events.RecoveryExhausted(**envelope, call=reply.call, reason=problem)

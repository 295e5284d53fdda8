"""Replies: what services report about a session's calls. A table of handlers, one module per concern.

A handler records the reply as own events; what the session does next is a matter of `saga/moves.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.saga.outputs import Draft
from orchestrator.saga.replies import evaluation, planning, recovery, steps, usage
from orchestrator.saga.state import Session

Reply: TypeAlias = (
    events.PlanCreated
    | events.PlanningFailed
    | events.PlanReviewed
    | events.ReviewFailed
    | events.ToolSelected
    | events.SelectionFailed
    | events.ToolCompleted
    | events.ToolFailed
    | events.RetryScheduled
    | events.FallbackChosen
    | events.RecoveryExhausted
    | events.TaskEvaluated
    | events.EvaluationFailed
    | events.UsageReported
)
"""Events of topic `events` that reply to a call."""

R = TypeVar("R", bound=Reply)
Handler: TypeAlias = Callable[[Session, Any, int], Iterable[Draft]]


def _row(kind: type[R], handler: Callable[[Session, R, int], Iterable[Draft]]) -> tuple[type[Event], Handler]:
    return kind, handler


REPLIES: Final[Mapping[type[Event], Handler]] = dict(
    (
        _row(events.PlanCreated, planning.plan_created),
        _row(events.PlanningFailed, planning.planning_failed),
        _row(events.PlanReviewed, planning.plan_reviewed),
        _row(events.ReviewFailed, planning.review_failed),
        _row(events.ToolSelected, steps.tool_selected),
        _row(events.SelectionFailed, steps.selection_failed),
        _row(events.ToolCompleted, steps.tool_completed),
        _row(events.ToolFailed, steps.tool_failed),
        _row(events.RetryScheduled, recovery.retry_scheduled),
        _row(events.FallbackChosen, recovery.fallback_chosen),
        _row(events.RecoveryExhausted, recovery.recovery_exhausted),
        _row(events.TaskEvaluated, evaluation.task_evaluated),
        _row(events.EvaluationFailed, evaluation.evaluation_failed),
        _row(events.UsageReported, usage.usage_reported),
    )
)
"""Handlers of replies, by the event's type. A row pairs a type with a handler of that very type."""

NOT_REPLIES: Final[frozenset[type[Event]]] = frozenset({events.ToolStarted, events.ToolHeartbeat})
"""Events of topic `events` that change no session: signs of life of a run, for people and for metrics."""

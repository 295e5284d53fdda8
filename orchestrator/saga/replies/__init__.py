"""The first half of a decision: taking an input in, as own events. One module a concern."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from orchestrator.messages import events
from orchestrator.saga.inputs import Reply
from orchestrator.saga.outputs import Draft
from orchestrator.saga.replies import evaluation, planning, recovery, steps
from orchestrator.saga.state import Session

REPLIES: Final[dict[type[Reply], Callable[[Session, Any, int], Iterable[Draft]]]] = {
    events.PlanCreated: planning.plan_created,
    events.PlanningFailed: planning.planning_failed,
    events.PlanReviewed: planning.plan_reviewed,
    events.ToolSelected: steps.tool_selected,
    events.SelectionFailed: steps.selection_failed,
    events.ToolCompleted: steps.tool_completed,
    events.ToolFailed: steps.tool_failed,
    events.RetryScheduled: recovery.retry_scheduled,
    events.FallbackChosen: recovery.fallback_chosen,
    events.RecoveryExhausted: recovery.recovery_exhausted,
    events.TaskEvaluated: evaluation.task_evaluated,
    events.EvaluationFailed: evaluation.evaluation_failed,
}
"""What is done with a reply, by its type."""

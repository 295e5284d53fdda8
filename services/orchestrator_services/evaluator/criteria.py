"""The default evaluator: success criteria in CEL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import (
    Criterion,
    CriterionResult,
    Evaluation,
    EvaluationRequest,
    NextMove,
    evaluator,
)
from orchestrator_services.expression_runs import holds
from orchestrator_services.expressions import ExpressionError, compiled

VARIABLES: Final = ("outputs", "result", "goal")


@dataclass(frozen=True)
class Judged:
    """The results of the criteria. Those that need steps which are not done are waiting."""

    results: tuple[CriterionResult, ...]
    waiting: int

    @property
    def unmet(self) -> tuple[CriterionResult, ...]:
        return tuple(result for result in self.results if not result.met)


@evaluator("criteria")
async def by_criteria(request: EvaluationRequest) -> Evaluation:
    """Each criterion is CEL over `outputs` (by step), `result` and `goal`. The score is the share that is met.

    Without criteria the goal is met. A criterion that cannot be evaluated, or is neither true nor false, is not
    met, and the result says why. While steps remain, criteria that need one of them wait. The next move is
    REVISE if any is not met, CONTINUE while steps remain, FINISH otherwise.
    """
    judged = await _judged(request)
    total = len(judged.results)
    return Evaluation(
        goal_met=not judged.unmet and not judged.waiting,
        score=1.0 - len(judged.unmet) / total if total else 1.0,
        reason=_reason(judged),
        next=_next(judged, request.remaining_steps),
        criteria=judged.results,
    )


async def _judged(request: EvaluationRequest) -> Judged:
    remaining = frozenset(request.remaining_steps)
    due = [one for one in request.criteria if not _waits(one, remaining)]
    variables = {"outputs": dict(request.outputs), "result": request.result, "goal": request.goal}
    return Judged(
        results=tuple([await _outcome(criterion, variables) for criterion in due]),
        waiting=len(request.criteria) - len(due),
    )


def _waits(criterion: Criterion, remaining: frozenset[str]) -> bool:
    """Whether a criterion needs a step that is not done. One that names no steps needs all of them."""
    return bool(remaining & frozenset(criterion.steps)) if criterion.steps else bool(remaining)


async def _outcome(criterion: Criterion, variables: dict[str, Any]) -> CriterionResult:
    try:
        met = await holds(compiled(criterion.expression, VARIABLES), variables)
    except ExpressionError as error:
        return CriterionResult(expression=criterion.expression, met=False, reason=str(error))
    return CriterionResult(expression=criterion.expression, met=met, reason="" if met else "it is false")


def _next(judged: Judged, remaining: Sequence[str]) -> NextMove:
    if judged.unmet:
        return NextMove.REVISE
    return NextMove.CONTINUE if remaining else NextMove.FINISH


def _reason(judged: Judged) -> str:
    waiting = f"; {judged.waiting} wait for steps that are not done" if judged.waiting else ""
    if judged.unmet:
        return "; ".join(f"not met: {one.expression} ({one.reason})" for one in judged.unmet) + waiting
    met = len(judged.results)
    return (f"{met} of {met} criteria met" if met else "no criteria to meet") + waiting

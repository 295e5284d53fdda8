"""What the steps of the turn before came to, as answers to the calls of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.sdk import FailureKind, PlanRequest, Values
from orchestrator.sdk.messages import types
from orchestrator_services.models import ToolAnswer, ToolCall
from orchestrator_services.prompting.data import data
from orchestrator_services.prompting.outputs import Reference, shown


@dataclass
class Answers:
    """Answers by call, and the references that stand for some of them in the conversation."""

    by_call: dict[str, ToolAnswer] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)


def step_name(turn: int, place: int) -> str:
    """The step of a call, by its turn and its place among the calls of that turn, from 1."""
    return f"turn{turn}-{place}"


async def answers_to(calls: Sequence[ToolCall], request: PlanRequest, values: Values) -> Answers:
    """An answer to each call of the last turn: what its step came to, or why there was none."""
    outcomes = {one.step_id: one for one in request.outcomes}
    answers = Answers()
    for place, call in enumerate(calls, start=1):
        outcome = outcomes.get(step_name(request.conversation.turn, place))
        if outcome is not None and outcome.output is not None:
            seen = await shown(outcome.output, outcome.step_id, outcome.tool, values)
            answers.by_call[call.call_id] = ToolAnswer(content=seen.text)
            if seen.reference is not None and seen.reference.is_stored:
                answers.references[call.call_id] = seen.reference
        else:
            answers.by_call[call.call_id] = ToolAnswer(problem=_problem(outcome, request.feedback))
    return answers


def _problem(outcome: types.StepOutcome | None, feedback: str) -> str:
    if outcome is not None:
        return problem_of(outcome)
    # The plan that the call was in did not run.
    return f"It was not run. {feedback}" if feedback else "It was not run."


def problem_of(outcome: types.StepOutcome) -> str:
    """Why a step has no output, as a model is told it."""
    if outcome.failure is None:
        return "It was not run, because a step that it waits for failed."
    failure = outcome.failure
    text = data(failure.message, tool=outcome.tool, step=outcome.step_id, failure=failure.code)
    if failure.kind is FailureKind.UNKNOWN_OUTCOME:
        said = "It failed, and it may still have had its effect: nobody can tell."
    else:
        said = f"It failed after {outcome.attempts} attempt(s)."
    if failure.retry_after_ms is not None:
        said += f" It asked to wait {failure.retry_after_ms / 1000:g} s before the next attempt."
    return f"{said}\n{text}"

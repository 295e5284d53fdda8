"""The table in `docs/saga.md`: what a session does with each input in each phase, by asking the saga."""

from typing import Final

from orchestrator.messages.types import CallKind, ReviewPolicy, Usage
from orchestrator.testing.scenario import (
    SECOND,
    START,
    Scenario,
    Sentence,
    agent,
    cancel,
    completed,
    evaluated,
    evaluation_failed,
    exhausted,
    failed,
    fallback,
    plan_created,
    planning_failed,
    retry,
    review_failed,
    reviewed,
    selected,
    selection_failed,
    task,
    time_comes,
    turn,
    usage_reported,
)

INPUTS: Final[dict[str, Sentence]] = {
    "SubmitTask": task(),
    "CancelTask": cancel(),
    "PlanCreated": plan_created("a"),
    "PlanningFailed": planning_failed(),
    "PlanReviewed": reviewed("safety"),
    "ReviewFailed": review_failed("safety"),
    "ToolSelected": selected("a"),
    "SelectionFailed": selection_failed("a"),
    "ToolCompleted": completed("a"),
    "ToolFailed": failed("a"),
    "RetryScheduled": retry(),
    "FallbackChosen": fallback("work"),
    "RecoveryExhausted": exhausted(),
    "TaskEvaluated": evaluated(),
    "EvaluationFailed": evaluation_failed(),
    "UsageReported": usage_reported(CallKind.PLAN, Usage(model_requests=1)),
    "time": time_comes(),
}
"""Every input, in reply to the call that is open or was opened last. With `time`, something is due."""

_REVIEWED: Final = agent(reviewers=(ReviewPolicy(reviewer="safety"),))
_RUNNING: Final = (task(), plan_created("a"), selected("a"))
_OPEN: Final = (task(), turn("a"), selected("a"))

SITUATIONS: Final[dict[str, tuple[Sentence, ...]]] = {
    "unknown": (),
    "AWAITED: a cancel came before its task": (cancel(),),
    "PLANNING: the task waits for its time": (task(not_before=START + 60 * SECOND),),
    "PLANNING: a plan is requested": (task(),),
    "PLANNING: the plan is reviewed": (task(profile=_REVIEWED), plan_created("a")),
    "PLANNING: the next turn is requested": (*_OPEN, completed("a")),
    "PLANNING: planning failed, recovery is asked": (task(), planning_failed()),
    "PLANNING: planning is to be retried": (task(), planning_failed(), retry()),
    "EXECUTING: a tool is being selected": (task(), plan_created("a")),
    "EXECUTING: a tool runs": _RUNNING,
    "EXECUTING: a run failed, recovery is asked": (*_RUNNING, failed("a")),
    "EXECUTING: a run timed out, recovery is asked": (*_RUNNING, time_comes()),
    "EXECUTING: a tool of an open plan runs": _OPEN,
    "EXECUTING: a run of an open plan failed, recovery is asked": (*_OPEN, failed("a")),
    "EXECUTING: a step is to be retried": (*_RUNNING, failed("a"), retry()),
    "EXECUTING: a tool runs while the session is being cancelled": (*_RUNNING, cancel()),
    "EXECUTING: parked": (*_RUNNING, failed("a"), exhausted()),
    "EVALUATING: an evaluation is requested": (*_RUNNING, completed("a")),
    "ENDED": (*_RUNNING, completed("a"), evaluated()),
}
"""The inputs that lead to each phase, and what the session waits for there."""


def scenario_of(situation: str) -> Scenario:
    """A session in a situation. It also takes replies to calls that are closed."""
    return Scenario(strict=False).when(*SITUATIONS[situation])


def cells() -> dict[str, dict[str, list[str]]]:
    """Types of the outputs, by situation and input; empty where the input is dropped."""
    return {
        situation: {name: _outputs(situation, sentence) for name, sentence in INPUTS.items()}
        for situation in SITUATIONS
    }


def _outputs(situation: str, sentence: Sentence) -> list[str]:
    return [type(output).__name__ for output in scenario_of(situation).when(sentence).outputs]


def table() -> str:
    """Markdown: one table for each situation, and what is dropped in it."""
    lines = []
    for situation, row in cells().items():
        lines += ["", f"### {situation[0].upper()}{situation[1:]}", ""]
        handled = {name: outputs for name, outputs in row.items() if outputs}
        if handled:
            lines += ["| input | what is written |", "|---|---|"]
            lines += [f"| {_title(name)} | {', '.join(outputs)} |" for name, outputs in handled.items()]
            lines += [""]
        dropped = [name for name in row if name not in handled and name != "time"]
        lines += [f"Dropped: {', '.join(dropped)}."]
    return "\n".join(lines[1:])


def _title(name: str) -> str:
    return "*its time comes*" if name == "time" else name

"""Sentences of scenarios: `given(task()).when(plan_created("a", "b")).then(…)`."""

from typing import Any

from msgspec.structs import replace

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Evaluation,
    FailureKind,
    NextMove,
    Review,
    ReviewVerdict,
    Step,
    Usage,
    Value,
)
from orchestrator.messages.usage import NO_USAGE
from orchestrator.messages.values import json_value
from orchestrator.saga import Submission, TimePassed, next_due
from orchestrator.sdk.durations import milliseconds
from orchestrator.testing.scenario.driver import SESSION, Scenario, Sentence
from orchestrator.testing.scenario.plans import ONE_RUN, ORIGINAL, agent, failure, plan

# -- what users ask for


def task(goal: str = "find out", *, profile: AgentProfile | None = None, **fields: Any) -> Sentence:
    """A task for an agent that exists. `fields` are those of `SubmitTask`."""
    known = profile or agent()

    def sentence(scenario: Scenario) -> Submission:
        command = commands.SubmitTask(
            command_id=scenario.new_id(), correlation_id=SESSION, goal=goal, agent=known.name, **fields
        )
        return Submission(task=command, profile=known, original=ORIGINAL)

    return sentence


def task_of_nobody() -> Sentence:
    """A task for an agent that does not exist."""

    def sentence(scenario: Scenario) -> Submission:
        command = commands.SubmitTask(
            command_id=scenario.new_id(), correlation_id=SESSION, goal="x", agent="nobody"
        )
        return Submission(task=command, profile=None, original=ORIGINAL)

    return sentence


def cancel(reason: str = "") -> Sentence:
    return lambda scenario: commands.CancelTask(
        command_id=scenario.new_id(), correlation_id=SESSION, occurred_at=scenario.now, reason=reason
    )


def time_comes() -> Sentence:
    """The clock moves on to what is due next, if anything is."""

    def sentence(scenario: Scenario) -> TimePassed:
        due = next_due(scenario.session) if scenario.session else None
        scenario.now = max(scenario.now, due or 0)
        return scenario.time_passed()

    return sentence


# -- what services report


def plan_created(
    *steps: Step | str, usage: Usage = NO_USAGE, conversation: Value | None = None, **shape: Any
) -> Sentence:
    return lambda scenario: scenario.event(
        events.PlanCreated,
        call=scenario.call(CallKind.PLAN),
        plan=plan(*steps, **shape),
        usage=usage,
        conversation=conversation,
    )


def turn(*steps: Step | str, **fields: Any) -> Sentence:
    """An open plan: the planner decides what follows when its steps have settled."""
    return plan_created(*steps, open=True, **fields)


def answered(result: Any = "found", **fields: Any) -> Sentence:
    """A plan without steps: the planner has the result."""
    return plan_created(answer=result, **fields)


def planning_failed(kind: FailureKind = FailureKind.TRANSIENT, usage: Usage = NO_USAGE) -> Sentence:
    return lambda scenario: scenario.event(
        events.PlanningFailed, call=scenario.call(CallKind.PLAN), failure=failure(kind), usage=usage
    )


def reviewed(
    reviewer: str, verdict: ReviewVerdict = ReviewVerdict.ACCEPT, reason: str = "", **fields: Any
) -> Sentence:
    """A review of the plan that was proposed last."""

    def sentence(scenario: Scenario) -> Any:
        call = _proposed(scenario)
        review = Review(reviewer=reviewer, verdict=verdict, reason=reason)
        head = {"plan_call_id": call.call_id, "revision": call.revision, "review": review}
        return scenario.event(events.PlanReviewed, **head | fields)

    return sentence


def review_failed(reviewer: str, usage: Usage = NO_USAGE) -> Sentence:
    """The reviewer could not review the plan that was proposed last."""

    def sentence(scenario: Scenario) -> Any:
        call = _proposed(scenario)
        return scenario.event(
            events.ReviewFailed,
            plan_call_id=call.call_id,
            revision=call.revision,
            reviewer=reviewer,
            failure=failure(FailureKind.PERMANENT),
            usage=usage,
        )

    return sentence


def _proposed(scenario: Scenario) -> Call:
    proposed = [event.call for event in scenario.history if isinstance(event, events.PlanProposed)]
    return proposed[-1] if proposed else scenario.call(CallKind.PLAN)


def selected(step_id: str, tool: str = "work", timeout: str = "30s", **fields: Any) -> Sentence:
    return lambda scenario: scenario.event(
        events.ToolSelected,
        call=scenario.call(CallKind.SELECTION, step_id),
        tool=tool,
        timeout_ms=milliseconds(timeout),
        **fields,
    )


def selection_failed(step_id: str) -> Sentence:
    return lambda scenario: scenario.event(
        events.SelectionFailed,
        call=scenario.call(CallKind.SELECTION, step_id),
        failure=failure(FailureKind.PERMANENT),
    )


def completed(step_id: str, output: Any = "done", usage: Usage = ONE_RUN) -> Sentence:
    def sentence(scenario: Scenario) -> Any:
        return scenario.event(
            events.ToolCompleted,
            call=_run_of(scenario, step_id),
            tool="work",
            output=json_value(output),
            usage=usage,
        )

    return sentence


def failed(
    step_id: str, kind: FailureKind = FailureKind.TRANSIENT, usage: Usage = ONE_RUN, **fields: Any
) -> Sentence:
    def sentence(scenario: Scenario) -> Any:
        call = replace(_run_of(scenario, step_id), **fields)
        return scenario.event(events.ToolFailed, call=call, tool="work", failure=failure(kind), usage=usage)

    return sentence


def done(step_id: str, output: Any = "done", usage: Usage = ONE_RUN) -> tuple[Sentence, Sentence]:
    """Both replies of a step that works."""
    return selected(step_id), completed(step_id, output, usage)


def retry(after: str = "1s", step_id: str | None = None, **fields: Any) -> Sentence:
    return lambda scenario: scenario.event(
        events.RetryScheduled,
        call=scenario.call(CallKind.RECOVERY, step_id),
        delay_ms=milliseconds(after),
        **fields,
    )


def fallback(*avoid: str, **fields: Any) -> Sentence:
    return lambda scenario: scenario.event(
        events.FallbackChosen, call=scenario.call(CallKind.RECOVERY), avoid=avoid, **fields
    )


def exhausted(reason: str = "nothing is left to try") -> Sentence:
    def sentence(scenario: Scenario) -> Any:
        call = scenario.call(CallKind.RECOVERY)
        return scenario.event(
            events.RecoveryExhausted, call=call, failure=call.failure or failure(), reason=reason
        )

    return sentence


def evaluated(
    move: NextMove = NextMove.FINISH, met: bool | None = None, reason: str = "", **fields: Any
) -> Sentence:
    goal_met = move is NextMove.FINISH if met is None else met

    def sentence(scenario: Scenario) -> Any:
        found = Evaluation(goal_met=goal_met, score=float(goal_met), reason=reason, next=move)
        return scenario.event(
            events.TaskEvaluated, call=scenario.call(CallKind.EVALUATION), evaluation=found, **fields
        )

    return sentence


def evaluation_failed() -> Sentence:
    return lambda scenario: scenario.event(
        events.EvaluationFailed, call=scenario.call(CallKind.EVALUATION), failure=failure()
    )


def usage_reported(kind: CallKind, usage: Usage) -> Sentence:
    """What the handler of the last call of a kind used before it was ended."""
    return lambda scenario: scenario.event(
        events.UsageReported, call=scenario.call(kind), service="planner", usage=usage
    )


def _run_of(scenario: Scenario, step_id: str) -> Call:
    """The run as its executor knows it, also before the session has handled its selection."""
    running = scenario.open_calls(CallKind.TOOL, step_id)
    call = running[0] if running else scenario.call(CallKind.SELECTION, step_id)
    return replace(call, kind=CallKind.TOOL, tool="work")

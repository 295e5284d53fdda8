"""Events in one line each, for people."""

from typing import Final

from orchestrator.messages import events, types
from orchestrator.messages.base import Definition, Event
from orchestrator.messages.call_kinds import call_name
from orchestrator.messages.usage import tokens_of
from orchestrator.telemetry.plain_text import one_line

LONGEST: Final = 200
"""Characters of a summary: goals and failures may be long."""


def summary(event: Event | Definition) -> str:
    """One line with steps, tools, reasons and figures, never with the content of a value. Line ends and control
    characters in it are escapes, as wherever people read them."""
    for describe in (_task, _plan, _step, _call, _service, _elsewhere):
        if (text := describe(event)) is not None:
            return _one_line(text)
    raise TypeError(f"{type(event).__name__} has no summary")


def _task(event: Event | Definition) -> str | None:
    match event:
        case events.TaskReceived():
            return f"task for {event.agent}: {event.goal}"
        case events.TaskRefused():
            return f"task refused {_why(event.failure)}"
        case events.RequestRefused():
            return f"{event.request_type.rpartition('.')[2]} refused: {event.reason}"
        case events.CancelRequested():
            return f"cancellation requested{_because(event.reason)}"
        case events.TaskCompleted():
            return f"task completed with plan {event.revision}: {spent(event.total, _runs(event.total))}"
        case events.TaskFailed():
            return f"task failed {_why(event.failure)}"
        case events.TaskCancelled():
            return f"task cancelled{_because(event.reason)}"
        case events.TaskEscalated():
            return f"task waits for a person {_why(event.failure)}"
        case _:
            return None


def _plan(event: Event | Definition) -> str | None:
    match event:
        case events.PlanRequested():
            turn = f" (turn {event.turn})" if event.turn > 1 else ""
            return f"{call_name(event.call)}{turn} requested{_again(event.call)}{_because(event.feedback)}"
        case events.PlanCreated() | events.PlanAccepted():
            verb = "created" if isinstance(event, events.PlanCreated) else "accepted"
            return f"{call_name(event.call)} {verb}: {_steps(event.plan)}"
        case events.PlanProposed():
            waiting = ", ".join(review.step_id for review in event.reviews)
            return f"{call_name(event.call)} waits for review by {waiting}: {_steps(event.plan)}"
        case events.PlanReviewed() | events.ReviewRecorded():
            return f"{_verdict(event.review)}{_because(event.review.reason)}"
        case events.ReviewFailed():
            return f"no review by {event.reviewer} {_why(event.failure)}"
        case events.PlanRejected():
            return f"{call_name(event.call)} rejected {_why(event.failure)}"
        case events.PlanningFailed():
            return f"{call_name(event.call)} failed {_why(event.failure)}, attempt {event.call.attempt}"
        case _:
            return None


def _step(event: Event | Definition) -> str | None:
    match event:
        case events.PlanStepReady():
            wanted = event.step.tool or f"any tool for {event.step.capability}"
            return f"{call_name(event.call)} ready: {wanted}{_again(event.call)}"
        case events.StepAssigned():
            return f"{call_name(event.call)} runs {event.call.tool}"
        case events.StepSucceeded():
            return f"{call_name(event.call)} succeeded: {_size(event.output)}"
        case events.StepFailed():
            return f"{call_name(event.call)} cannot be done {_why(event.failure)}"
        case events.ToolSelected():
            return f"{call_name(event.call)}: {event.tool} chosen"
        case events.SelectionFailed():
            return f"{call_name(event.call)}: no tool chosen {_why(event.failure)}"
        case events.ToolStarted():
            return f"{call_name(event.call)}: {event.call.tool} started{_by(event.worker)}"
        case events.ToolHeartbeat():
            return f"{call_name(event.call)}: {event.call.tool} alive after {duration(event.elapsed_ms)}"
        case _:
            return None


def _call(event: Event | Definition) -> str | None:
    match event:
        case events.CallFailed():
            failure = event.call.failure or types.Failure(code="unknown", message="")
            return f"{call_name(event.call)} failed {_why(failure)}, attempt {event.call.attempt}"
        case events.CallTimedOut():
            waited = event.call.kind.lower().replace("_", " ")
            return f"{call_name(event.call)}: no reply in time ({waited}), attempt {event.call.attempt}"
        case events.RecoveryRecorded():
            return _recovery(event)
        case events.UsageRecorded():
            return f"{call_name(event.call)} had a late reply, which used {spent(event.usage, _runs(event.usage))}"
        case events.EvaluationRequested():
            return f"{call_name(event.call)} requested{_again(event.call)}"
        case events.EvaluationRecorded() | events.TaskEvaluated():
            return _evaluation(event.evaluation)
        case events.EvaluationFailed():
            return f"{call_name(event.call)} failed {_why(event.failure)}, attempt {event.call.attempt}"
        case _:
            return None


def _service(event: Event | Definition) -> str | None:
    match event:
        case events.ToolCompleted():
            used = spent(event.usage, duration(event.usage.duration_ms))
            return f"{call_name(event.call)}: {event.tool} returned {_size(event.output)}, {used}"
        case events.UsageReported():
            used = spent(event.usage, _runs(event.usage))
            return f"{call_name(event.call)}: {event.service} ended without a reply, and used {used}"
        case events.ToolFailed():
            return f"{call_name(event.call)} failed {_why(event.failure)}, attempt {event.call.attempt}"
        case events.RetryScheduled():
            return f"retry of {call_name(event.call)} in {duration(event.delay_ms)}{_because(event.reason)}"
        case events.FallbackChosen():
            return f"{call_name(event.call)}: another tool{_instead(event.avoid)}{_because(event.reason)}"
        case events.RecoveryExhausted():
            return f"{call_name(event.call)}: nothing left to try{_because(event.reason)}"
        case events.ToolProgressed():
            share = "" if event.fraction is None else f" {event.fraction:.0%}"
            return f"{call_name(event.call)}:{share} {event.note}"
        case events.ModelProgressed():
            about = f"arguments of {event.tool}" if event.tool else "text"
            written = f"{event.position + len(event.text):,} characters of {about}"
            return f"{call_name(event.call)}, request {event.request}: {written}"
        case _:
            return None


def _elsewhere(event: Event | Definition) -> str | None:
    match event:
        case events.CallsVoided():
            return f"{_counted(len(event.calls), 'call')} void{_because(event.reason)}"
        case events.MessageDeadLettered():
            return f"dead letter by {event.service} ({event.stage}) {_why(event.failure)}"
        case events.ToolDefined():
            return f"tool {event.tool.name} {event.tool.version}: {event.tool.description}"
        case events.AgentDefined():
            return f"agent {event.profile.name}, planned by {event.profile.planner}"
        case events.PlaybookDefined():
            return f"playbook {event.name}@{event.version}"
        case _:
            return None


def duration(milliseconds: int) -> str:
    """A duration as people say it: `180 ms`, `2.4 s`, `3 min 5 s`."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s"


def _recovery(event: events.RecoveryRecorded) -> str:
    name = call_name(event.call)
    match event.decision:
        case types.RecoveryDecision.RETRY:
            delay_ms = max(0, (event.retry_at or event.occurred_at) - event.occurred_at) // 1000
            return f"{name} again in {duration(delay_ms)}{_because(event.reason)}"
        case types.RecoveryDecision.FALLBACK:
            return f"{name} again with another tool{_instead(event.avoid)}"
        case _:
            return f"{name} is not tried again{_because(event.reason)}"


def _evaluation(evaluation: types.Evaluation) -> str:
    verdict = "goal met" if evaluation.goal_met else "goal not met"
    advice = "" if evaluation.goal_met else f", advice: {evaluation.next.lower().replace('_', ' ')}"
    return f"{verdict}, score {round(evaluation.score, 2)}{advice}{_because(evaluation.reason)}"


def _verdict(review: types.Review) -> str:
    said = {types.ReviewVerdict.ACCEPT: "accepts", types.ReviewVerdict.REJECT: "rejects"}
    return f"{review.reviewer} {said.get(review.verdict, 'says nothing about')} the plan"


def _why(failure: types.Failure) -> str:
    return f"({failure.kind.lower().replace('_', ' ')}): {failure.message or failure.code}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _by(worker: str) -> str:
    return f" by {worker}" if worker else ""


def _instead(avoid: tuple[str, ...]) -> str:
    return f" than {', '.join(avoid)}" if avoid else ""


def _again(call: types.Call) -> str:
    return f", attempt {call.attempt}" if call.attempt > 1 else ""


def _steps(plan: types.Plan) -> str:
    if not plan.steps:
        return "no steps"
    names = ", ".join(step.step_id for step in plan.steps)
    return f"{_counted(len(plan.steps), 'step')} ({names}){', open' if plan.open else ''}"


def _size(value: types.Value) -> str:
    return f"{value.size:,} bytes of {value.media_type}"


def spent(usage: types.Usage, *before: str) -> str:
    """What models used, behind other figures; without those, empty if no model was asked."""
    tokens = tokens_of(usage)
    cached = f" ({usage.tokens_cached:,} cached)" if usage.tokens_cached else ""
    parts = [
        *before,
        _counted(usage.model_requests, "model request") if usage.model_requests else "",
        f"{tokens:,} tokens{cached}" if tokens else "",
        f"${usage.cost_micro_usd / 1_000_000:.4f}" if usage.cost_micro_usd else "",
        _unsettled(usage),
    ]
    return ", ".join(part for part in parts if part)


def _unsettled(usage: types.Usage) -> str:
    if not usage.requests_unsettled:
        return ""
    cost = f" and ${usage.cost_unsettled_micro_usd / 1_000_000:.4f}" if usage.cost_unsettled_micro_usd else ""
    requests = _counted(usage.requests_unsettled, "request")
    return f"{requests} without a response (at most {usage.tokens_unsettled:,} tokens{cost})"


def _runs(usage: types.Usage) -> str:
    return _counted(usage.tool_calls, "tool call")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _one_line(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"

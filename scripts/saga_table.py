"""What a session does with each input in each phase: found out by asking the saga, for `docs/saga.md`."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Message
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Document,
    Evaluation,
    Failure,
    NextMove,
    OriginalMessage,
    Plan,
    Review,
    ReviewPolicy,
    ReviewVerdict,
    Step,
    Usage,
)
from orchestrator.messages.values import json_value
from orchestrator.saga import Input, Session, Submission, TimePassed, decide, next_due

ID: Final = identity.derived_id("saga-table")
START: Final = 1_790_000_000_000_000
USED: Final = Usage(tool_calls=1, tokens_input=1)
FAILURE: Final = Failure(code="failed", message="it failed")
PLAN: Final = Plan(steps=(Step(step_id="a", tool="t", arguments=Document(body=json_value({}))),))
PROFILE: Final = AgentProfile(name="default")
REVIEWED: Final = AgentProfile(name="default", reviewers=(ReviewPolicy(reviewer="safety"),))


_NONE: Final = Call(call_id="none", kind=CallKind.UNKNOWN, due_at=0)
_FAMILY: Final = {CallKind.TOOL: CallKind.SELECTION}
"""A selection becomes a run: both are one call."""


class Told:
    """A session that is told things, and the calls that it opened last, by kind."""

    def __init__(self, *inputs: "Say") -> None:
        self.session: Session | None = None
        self._last = _NONE
        self._calls: dict[CallKind, Call] = {}
        self.now = START
        for say in inputs:
            self.tell(say(self))

    def tell(self, told: Input) -> tuple[Message, ...]:
        decision = decide(self.session, told, ID, self.now)
        self.session = decision.session
        for output in decision.outputs:
            call = getattr(output, "call", None)
            if isinstance(call, Call):
                kind = call.failed_kind if call.kind is CallKind.RECOVERY else call.kind
                self._last = self._calls[_FAMILY.get(kind, kind)] = call
        return decision.outputs

    def call(self, kind: CallKind) -> Call:
        """The call that a reply of a kind answers: the one that is open, or was opened last."""
        return self._last if kind is CallKind.RECOVERY else self._calls.get(kind, _NONE)

    def time(self) -> Input:
        """The time when something is due."""
        self.now = (next_due(self.session) if self.session else None) or self.now
        return TimePassed(message_id=identity.derived_id(self.now), until=self.now)


Say: TypeAlias = Callable[[Told], Any]


def _submit(profile: AgentProfile = PROFILE, **fields: Any) -> Say:
    def say(_told: Told) -> Submission:
        task = commands.SubmitTask(command_id="submit", correlation_id=ID, goal="g", **fields)
        original = OriginalMessage(topic="tasks", partition=0, offset=0, value=b"task")
        return Submission(task=task, profile=profile, original=original)

    return say


def _cancel(told: Told) -> Any:
    return commands.CancelTask(
        command_id=identity.derived_id("cancel", told.now), correlation_id=ID, occurred_at=0
    )


def _reply(kind: type[Any], answers: CallKind, **fields: Any) -> Say:
    def say(told: Told) -> Any:
        call = told.call(answers)
        return kind(event_id=kind.__name__, correlation_id=ID, occurred_at=0, call=call, **fields)

    return say


def _review(told: Told) -> Any:
    return events.PlanReviewed(
        event_id="reviewed",
        correlation_id=ID,
        occurred_at=0,
        plan_call_id=told.call(CallKind.PLAN).call_id,
        revision=1,
        review=Review(reviewer="safety", verdict=ReviewVerdict.ACCEPT),
        usage=USED,
    )


_CREATED: Final = _reply(events.PlanCreated, CallKind.PLAN, plan=PLAN, usage=USED)
_PLANNING_FAILED: Final = _reply(events.PlanningFailed, CallKind.PLAN, failure=FAILURE, usage=USED)
_SELECTED: Final = _reply(events.ToolSelected, CallKind.SELECTION, tool="t", timeout_ms=1_000)
_COMPLETED: Final = _reply(
    events.ToolCompleted, CallKind.SELECTION, tool="t", output=json_value(1), usage=USED
)
_FAILED: Final = _reply(events.ToolFailed, CallKind.SELECTION, tool="t", failure=FAILURE, usage=USED)
_RETRY: Final = _reply(events.RetryScheduled, CallKind.RECOVERY, delay_ms=1_000)
_EXHAUSTED: Final = _reply(events.RecoveryExhausted, CallKind.RECOVERY, failure=FAILURE)
_EVALUATED: Final = _reply(
    events.TaskEvaluated,
    CallKind.EVALUATION,
    evaluation=Evaluation(goal_met=True, next=NextMove.FINISH),
    usage=USED,
)

INPUTS: Final[dict[str, Say]] = {
    "SubmitTask": _submit(),
    "CancelTask": _cancel,
    "PlanCreated": _CREATED,
    "PlanningFailed": _PLANNING_FAILED,
    "PlanReviewed": _review,
    "ToolSelected": _SELECTED,
    "SelectionFailed": _reply(events.SelectionFailed, CallKind.SELECTION, failure=FAILURE),
    "ToolCompleted": _COMPLETED,
    "ToolFailed": _FAILED,
    "RetryScheduled": _RETRY,
    "FallbackChosen": _reply(events.FallbackChosen, CallKind.RECOVERY, avoid=("t",)),
    "RecoveryExhausted": _EXHAUSTED,
    "TaskEvaluated": _EVALUATED,
    "EvaluationFailed": _reply(events.EvaluationFailed, CallKind.EVALUATION, failure=FAILURE, usage=USED),
    "time": Told.time,
}
"""Every input, answering the call that is open or was opened last. `time` is when something is due."""

_RUNNING: Final = (_submit(), _CREATED, _SELECTED)

SITUATIONS: Final[dict[str, tuple[Say, ...]]] = {
    "unknown": (),
    "AWAITED: a cancel came before its task": (_cancel,),
    "PLANNING: the task waits for its time": (_submit(not_before=START + 60_000_000),),
    "PLANNING: a plan is asked for": (_submit(),),
    "PLANNING: the plan is reviewed": (_submit(REVIEWED), _CREATED),
    "PLANNING: planning failed, recovery is asked": (_submit(), _PLANNING_FAILED),
    "PLANNING: planning is to be retried": (_submit(), _PLANNING_FAILED, _RETRY),
    "EXECUTING: a tool is being selected": (_submit(), _CREATED),
    "EXECUTING: a tool runs": _RUNNING,
    "EXECUTING: a run failed, recovery is asked": (*_RUNNING, _FAILED),
    "EXECUTING: a run timed out, recovery is asked": (*_RUNNING, Told.time),
    "EXECUTING: a step is to be retried": (*_RUNNING, _FAILED, _RETRY),
    "EXECUTING: a tool runs while the session is being cancelled": (*_RUNNING, _cancel),
    "EXECUTING: parked": (*_RUNNING, _FAILED, _EXHAUSTED),
    "EVALUATING: an evaluation is asked for": (*_RUNNING, _COMPLETED),
    "ENDED": (*_RUNNING, _COMPLETED, _EVALUATED),
}
"""How to get into each phase, and what the session waits for there."""


def cells() -> dict[str, dict[str, list[str]]]:
    """Types of the outputs, by situation and input; empty where the input is dropped."""
    return {
        situation: {name: _outputs(inputs, say) for name, say in INPUTS.items()}
        for situation, inputs in SITUATIONS.items()
    }


def _outputs(inputs: tuple[Say, ...], say: Say) -> list[str]:
    told = Told(*inputs)
    return [type(output).__name__ for output in told.tell(say(told))]


def table() -> str:
    """Markdown: one table for each situation, and what is dropped in it."""
    lines = []
    for situation, row in cells().items():
        lines += ["", f"### {situation[0].upper()}{situation[1:]}", ""]
        handled = {name: outputs for name, outputs in row.items() if outputs}
        if handled:
            lines += ["| input | what is written |", "|---|---|"]
            lines += [f"| {_said(name)} | {', '.join(outputs)} |" for name, outputs in handled.items()]
            lines += [""]
        dropped = [name for name in row if name not in handled and name != "time"]
        lines += [f"Dropped: {', '.join(dropped)}."]
    return "\n".join(lines[1:])


def _said(name: str) -> str:
    return "*its time comes*" if name == "time" else name

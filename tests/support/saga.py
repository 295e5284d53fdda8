"""Sessions of the saga in sentences: `given(task()).when(plan_created("a", "b")).then(…)`.

An input is a function of the scenario: it answers the call that is open when its turn comes. An output is
named by its type and what it is about: `PlanStepReady a`, `PlanStepReady a #2` for the second attempt.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec.structs import replace

from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Criterion,
    Document,
    Evaluation,
    Failure,
    FailureKind,
    Limits,
    NextMove,
    OriginalMessage,
    Plan,
    Reference,
    Review,
    ReviewVerdict,
    Step,
    Usage,
)
from orchestrator.messages.values import json_value
from orchestrator.saga import Input, Session, Submission, TimePassed, decide, evolve, next_due
from orchestrator.sdk.durations import milliseconds

SESSION = identity.derived_id("test", "session")
START = 1_790_000_000_000_000
"""Unix time in microseconds: 2026-09-21T14:13:20Z."""
SECOND = 1_000_000
NOTHING = Usage()
ONE_RUN = Usage(tool_calls=1, duration_ms=5)

Say: TypeAlias = "Callable[[Scenario], Input]"


class Scenario:
    """A session being told things. Every decision is checked to be the fold of its own events."""

    def __init__(self) -> None:
        self.now = START
        self.session: Session | None = None
        self.history: list[SessionEvent] = []
        self.outputs: tuple[Message, ...] = ()
        """Of the last `when` or `after`."""
        self._told = 0

    def when(self, *inputs: Say) -> "Scenario":
        """Tells the session these, one after the other."""
        outputs: tuple[Message, ...] = ()
        for say in inputs:
            outputs += self.tell(say(self))
        self.outputs = outputs
        return self

    def after(self, duration: str) -> "Scenario":
        """Moves the clock, and tells the session once that time has passed."""
        self.now += milliseconds(duration) * 1_000
        self.outputs = self.tell(TimePassed(message_id=self.new_id(), until=self.now))
        return self

    def tell(self, told: Input) -> tuple[Message, ...]:
        decision = decide(self.session, told, SESSION, self.now)
        replayed = self.session
        for output in decision.outputs:
            if isinstance(output, SessionEvent):
                replayed = evolve(replayed, output)
                self.history.append(output)
        assert replayed == decision.session
        self.session = decision.session
        return decision.outputs

    def then(self, *expected: str) -> "Scenario":
        """What was written since the last `when`, in order."""
        assert [name_of(output) for output in self.outputs] == list(expected)
        return self

    def then_nothing(self) -> "Scenario":
        return self.then()

    @property
    def state(self) -> Session:
        assert self.session is not None
        return self.session

    def prepared(self, say: Say) -> Say:
        """What would be said now, to be told later or twice."""
        made = say(self)
        return lambda _scenario: made

    @property
    def due_in(self) -> float | None:
        """Seconds until something is due without any input."""
        due = next_due(self.state)
        return None if due is None else (due - self.now) / SECOND

    def wrote(self, kind: type[Any]) -> Any:
        """The last output of a type since the last `when`."""
        return [output for output in self.outputs if isinstance(output, kind)][-1]

    def call(self, kind: CallKind, step_id: str | None = None) -> Call:
        """The open call that waits for this, of a step, a reviewer or any."""
        found = [call for call in self.state.waiting_for(kind) if step_id is None or call.step_id == step_id]
        assert found, f"no open call waits for {kind} {step_id or ''}"
        return found[0]

    def new_id(self) -> str:
        self._told += 1
        return identity.derived_id("test", "told", self._told)

    def event(self, kind: type[Any], **fields: Any) -> Any:
        """A service's event about this session."""
        return kind(event_id=self.new_id(), correlation_id=SESSION, occurred_at=self.now, **fields)


def given(*inputs: Say) -> Scenario:
    """A session that was told these."""
    return Scenario().when(*inputs)


def name_of(message: Message) -> str:
    """Type and subject of a message."""
    call = getattr(message, "call", None)
    if not isinstance(call, Call):
        return type(message).__name__
    kind = call.failed_kind if call.kind is CallKind.RECOVERY else call.kind
    subject = f"plan {call.revision}" if kind is CallKind.PLAN else call.step_id
    waited = f" {call.kind}" if isinstance(message, events.CallTimedOut) else ""
    again = f" #{call.attempt}" if call.attempt > 1 else ""
    return f"{type(message).__name__}{waited} {subject}{again}"


# -- what users say


def task(goal: str = "find out", *, profile: AgentProfile | None = None, **fields: Any) -> Say:
    """A task for an agent that exists. `fields` are those of `SubmitTask`."""
    agent = profile or AgentProfile(name="default")

    def say(scenario: Scenario) -> Submission:
        command = commands.SubmitTask(
            command_id=scenario.new_id(), correlation_id=SESSION, goal=goal, agent=agent.name, **fields
        )
        return Submission(task=command, profile=agent, original=ORIGINAL)

    return say


ORIGINAL = OriginalMessage(topic="tasks", partition=3, offset=17, key=b"k", value=b"\x00task", headers=())


def task_of_nobody() -> Say:
    """A task for an agent that does not exist."""

    def say(scenario: Scenario) -> Submission:
        command = commands.SubmitTask(
            command_id=scenario.new_id(), correlation_id=SESSION, goal="x", agent="nobody"
        )
        return Submission(task=command, profile=None, original=ORIGINAL)

    return say


def cancel(reason: str = "") -> Say:
    return lambda scenario: commands.CancelTask(
        command_id=scenario.new_id(), correlation_id=SESSION, occurred_at=scenario.now, reason=reason
    )


def agent(**fields: Any) -> AgentProfile:
    return AgentProfile(name="default", **fields)


def bounded(**limits: Any) -> AgentProfile:
    """An agent with these limits."""
    return agent(limits=Limits(**limits))


# -- what services say


def step(
    name: str, *, needs: tuple[str, ...] = (), uses: Mapping[str, str] | None = None, **fields: Any
) -> Step:
    """A step that runs the tool `work`; `needs` come before it, `uses` are bound into its arguments."""
    references = tuple(Reference(into=f"/{into}", step_id=name) for into, name in (uses or {}).items())
    body = json_value(dict.fromkeys(uses or {}))
    arguments = Document(body=body, references=references)
    if "capability" not in fields:
        fields.setdefault("tool", "work")
    return Step(step_id=name, arguments=arguments, after=needs, **fields)


def plan(*steps: Step | str, result: str = "", criteria: tuple[str, ...] = ()) -> Plan:
    """A plan of these steps; `result` names the step whose output is the task's result."""
    return Plan(
        steps=tuple(step(one) if isinstance(one, str) else one for one in steps),
        result=Document(references=(Reference(step_id=result),)) if result else None,
        criteria=tuple(Criterion(expression=f"outputs.{name}", steps=(name,)) for name in criteria),
    )


def plan_created(*steps: Step | str, usage: Usage = NOTHING, **shape: Any) -> Say:
    return lambda scenario: scenario.event(
        events.PlanCreated, call=scenario.call(CallKind.PLAN), plan=plan(*steps, **shape), usage=usage
    )


def planning_failed(kind: FailureKind = FailureKind.TRANSIENT, usage: Usage = NOTHING) -> Say:
    return lambda scenario: scenario.event(
        events.PlanningFailed, call=scenario.call(CallKind.PLAN), failure=failure(kind), usage=usage
    )


def reviewed(
    reviewer: str, verdict: ReviewVerdict = ReviewVerdict.ACCEPT, reason: str = "", **fields: Any
) -> Say:
    """A review of the plan that was proposed last."""

    def say(scenario: Scenario) -> Any:
        proposed = [event for event in scenario.history if isinstance(event, events.PlanProposed)][-1]
        review = Review(reviewer=reviewer, verdict=verdict, reason=reason)
        head = {"plan_call_id": proposed.call.call_id, "revision": proposed.call.revision, "review": review}
        return scenario.event(events.PlanReviewed, **head | fields)

    return say


def selected(step_id: str, tool: str = "work", timeout: str = "30s", **fields: Any) -> Say:
    return lambda scenario: scenario.event(
        events.ToolSelected,
        call=scenario.call(CallKind.SELECTION, step_id),
        tool=tool,
        timeout_ms=milliseconds(timeout),
        **fields,
    )


def selection_failed(step_id: str) -> Say:
    return lambda scenario: scenario.event(
        events.SelectionFailed,
        call=scenario.call(CallKind.SELECTION, step_id),
        failure=failure(FailureKind.PERMANENT),
    )


def completed(step_id: str, output: Any = "done", usage: Usage = ONE_RUN) -> Say:
    def say(scenario: Scenario) -> Any:
        return scenario.event(
            events.ToolCompleted,
            call=_run_of(scenario, step_id),
            tool="work",
            output=json_value(output),
            usage=usage,
        )

    return say


def failed(
    step_id: str, kind: FailureKind = FailureKind.TRANSIENT, usage: Usage = ONE_RUN, **fields: Any
) -> Say:
    def say(scenario: Scenario) -> Any:
        call = replace(_run_of(scenario, step_id), **fields)
        return scenario.event(events.ToolFailed, call=call, tool="work", failure=failure(kind), usage=usage)

    return say


def done(step_id: str, output: Any = "done", usage: Usage = ONE_RUN) -> tuple[Say, Say]:
    """Both replies of a step that works."""
    return selected(step_id), completed(step_id, output, usage)


def retry(after: str = "1s", step_id: str | None = None) -> Say:
    return lambda scenario: scenario.event(
        events.RetryScheduled, call=scenario.call(CallKind.RECOVERY, step_id), delay_ms=milliseconds(after)
    )


def fallback(*avoid: str) -> Say:
    return lambda scenario: scenario.event(
        events.FallbackChosen, call=scenario.call(CallKind.RECOVERY), avoid=avoid
    )


def exhausted(reason: str = "nothing is left to try") -> Say:
    def say(scenario: Scenario) -> Any:
        call = scenario.call(CallKind.RECOVERY)
        return scenario.event(
            events.RecoveryExhausted, call=call, failure=call.failure or failure(), reason=reason
        )

    return say


def evaluated(
    move: NextMove = NextMove.FINISH, met: bool | None = None, reason: str = "", **fields: Any
) -> Say:
    goal_met = move is NextMove.FINISH if met is None else met

    def say(scenario: Scenario) -> Any:
        found = Evaluation(goal_met=goal_met, score=float(goal_met), reason=reason, next=move)
        return scenario.event(
            events.TaskEvaluated, call=scenario.call(CallKind.EVALUATION), evaluation=found, **fields
        )

    return say


def evaluation_failed() -> Say:
    return lambda scenario: scenario.event(
        events.EvaluationFailed, call=scenario.call(CallKind.EVALUATION), failure=failure()
    )


def failure(kind: FailureKind = FailureKind.TRANSIENT) -> Failure:
    return Failure(kind=kind, code="broken", message="it did not work")


def _run_of(scenario: Scenario, step_id: str) -> Call:
    """The run as the executor was told it, also while the news of its selection is on its way."""
    waiting = [call for call in scenario.state.waiting_for(CallKind.TOOL) if call.step_id == step_id]
    call = waiting[0] if waiting else scenario.call(CallKind.SELECTION, step_id)
    return replace(call, kind=CallKind.TOOL, tool="work")

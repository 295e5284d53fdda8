"""Stories: sessions written event by event, as the orchestrator and the services write them."""

from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.messages import events, identity
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Criterion,
    Document,
    Evaluation,
    EvaluationPoint,
    Failure,
    FailureKind,
    Limits,
    NextMove,
    OriginalMessage,
    Plan,
    RecoveryDecision,
    Reference,
    RetryPolicy,
    Step,
    Usage,
)
from orchestrator.messages.values import json_value

E = TypeVar("E", bound=Event)

START = 1_790_000_000_000_000
"""Unix time in microseconds of a story's first event: 2026-09-21T14:13:20Z."""


class Story:
    """Writes a session's events with their envelopes. Times are milliseconds since its first event."""

    def __init__(self, name: str = "story", *, agent: str = "triage", tenant: str = "default") -> None:
        self.correlation_id = identity.derived_id("story", name)
        self.agent = agent
        self.tenant = tenant
        self.events: list[Event] = []

    def write(self, kind: type[E], at_ms: float, /, cause: Event | None = None, **fields: Any) -> E:
        """Adds an event; the orchestrator's own get the next sequence."""
        if issubclass(kind, SessionEvent):
            fields["sequence"] = 1 + sum(isinstance(event, SessionEvent) for event in self.events)
        event = kind(
            event_id=identity.derived_id(self.correlation_id, len(self.events)),
            correlation_id=self.correlation_id,
            causation_id=cause.event_id if cause else "",
            occurred_at=START + round(at_ms * 1000),
            agent=self.agent,
            tenant=self.tenant,
            **fields,
        )
        self.events.append(event)
        return event

    def in_time(self) -> "Story":
        """The story with its events by time, for one that was written step by step."""
        self.events.sort(key=lambda event: event.occurred_at)
        own = (place for place, event in enumerate(self.events) if isinstance(event, SessionEvent))
        for sequence, place in enumerate(own, start=1):
            self.events[place] = replace(self.events[place], sequence=sequence)
        return self

    def call(self, kind: CallKind, step_id: str = "", attempt: int = 1, **fields: Any) -> Call:
        return Call(
            call_id=identity.call_id(self.correlation_id, kind, 1, step_id, attempt),
            kind=kind,
            step_id=step_id,
            attempt=attempt,
            due_at=START + 60_000_000,
            **fields,
        )


LOGS = Step(step_id="latency", tool="logs.statistics", arguments=Document(body=json_value({"path": "a.log"})))
DEPLOYS = Step(step_id="deploys", capability="deploys", arguments=Document(body=json_value({})))
PLAN = Plan(
    steps=(LOGS, DEPLOYS),
    result=Document(references=(Reference(step_id="latency", at="/worst"),)),
    criteria=(Criterion(expression="outputs.latency.worst != ''", steps=("latency",)),),
    planner="playbook",
    playbook="incident-triage@1",
)
RETRY = RetryPolicy(attempts=3)
UNAVAILABLE = Failure(kind=FailureKind.TRANSIENT, code="unavailable", message="503 from the deploy service")


def received(story: Story, at_ms: float = 0, goal: str = "why did latency rise?") -> events.TaskReceived:
    return story.write(
        events.TaskReceived,
        at_ms,
        goal=goal,
        profile=AgentProfile(name=story.agent),
        limits=Limits(parallel_steps=4),
        deadline_at=START + 3_600_000_000,
        submitted=OriginalMessage(topic="tasks", partition=0, offset=0, value=b"task"),
    )


def completed_triage(name: str = "triage", **who: str) -> Story:
    """Two steps side by side; `deploys` fails once and is retried after 180 ms; the goal is met."""
    story = Story(name, **who)
    planned(story)
    _latency(story)
    _deploys(story)
    _evaluated(story)
    return story.in_time()


def planned(story: Story) -> None:
    """Accepted, planned; both steps are ready at 12 ms."""
    task = received(story)
    planning = story.call(CallKind.PLAN)
    asked = story.write(events.PlanRequested, 0, task, call=planning)
    used = Usage(tokens_input=900, tokens_output=100, cost_micro_usd=2500, duration_ms=6)
    made = story.write(events.PlanCreated, 10, asked, call=planning, plan=PLAN, usage=used)
    accepted = story.write(events.PlanAccepted, 12, made, call=planning, plan=PLAN, usage=used)
    for step in PLAN.steps:
        call = story.call(CallKind.SELECTION, step.step_id, retry=RETRY)
        story.write(events.PlanStepReady, 12, accepted, call=call, step=step, step_timeout_ms=60_000)


def _selected(story: Story, step_id: str, tool: str, at_ms: float, attempt: int = 1) -> Call:
    call = story.call(CallKind.SELECTION, step_id, attempt, retry=RETRY)
    chosen = story.write(events.ToolSelected, at_ms, call=call, tool=tool, timeout_ms=30_000)
    # One attempt is one call: its id stays that of the selection.
    running = Call(
        call_id=call.call_id,
        kind=CallKind.TOOL,
        step_id=step_id,
        attempt=attempt,
        due_at=call.due_at,
        retry=RETRY,
        tool=tool,
    )
    story.write(events.StepAssigned, at_ms + 2, chosen, call=running)
    return running


def _latency(story: Story) -> None:
    call = _selected(story, "latency", "logs.statistics", 15)
    output = json_value({"worst": "/checkout"})
    used = Usage(tool_calls=1, duration_ms=50)
    done = story.write(events.ToolCompleted, 70, call=call, tool="logs.statistics", output=output, usage=used)
    story.write(events.StepSucceeded, 72, done, call=call, output=output, usage=used)


def _deploys(story: Story) -> None:
    call = _selected(story, "deploys", "deploys.read", 16)
    used = Usage(tool_calls=1, duration_ms=20)
    failed = story.write(
        events.ToolFailed, 40, call=call, tool="deploys.read", failure=UNAVAILABLE, usage=used
    )
    lost = Call(
        call_id=call.call_id,
        kind=CallKind.RECOVERY,
        failed_kind=CallKind.TOOL,
        failure=UNAVAILABLE,
        step_id="deploys",
        due_at=call.due_at,
        retry=RETRY,
        tool="deploys.read",
    )
    noted = story.write(events.CallFailed, 42, failed, call=lost, usage=used)
    retry = story.write(events.RetryScheduled, 45, noted, call=lost, delay_ms=180)
    story.write(
        events.RecoveryRecorded,
        47,
        retry,
        call=lost,
        decision=RecoveryDecision.RETRY,
        retry_at=START + 227_000,
    )
    again = story.call(CallKind.SELECTION, "deploys", 2, retry=RETRY)
    story.write(events.PlanStepReady, 227, call=again, step=DEPLOYS, step_timeout_ms=60_000)
    call = _selected(story, "deploys", "deploys.read", 230, attempt=2)
    output = json_value(["v41"])
    done = story.write(events.ToolCompleted, 255, call=call, tool="deploys.read", output=output, usage=used)
    story.write(events.StepSucceeded, 257, done, call=call, output=output, usage=used)


def _evaluated(story: Story) -> None:
    call = story.call(CallKind.EVALUATION)
    asked = story.write(events.EvaluationRequested, 257, call=call, point=EvaluationPoint.PLAN)
    found = Evaluation(goal_met=True, score=1.0, next=NextMove.FINISH)
    result = json_value("/checkout")
    used = Usage(duration_ms=3)
    reply = story.write(
        events.TaskEvaluated, 262, asked, call=call, evaluation=found, result=result, usage=used
    )
    noted = story.write(
        events.EvaluationRecorded, 263, reply, call=call, evaluation=found, result=result, usage=used
    )
    total = Usage(tool_calls=3, tokens_input=900, tokens_output=100, cost_micro_usd=2500, duration_ms=99)
    story.write(events.TaskCompleted, 263, noted, result=result, evaluation=found, revision=1, total=total)

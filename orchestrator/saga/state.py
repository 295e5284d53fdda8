"""The state of a session: the fold of the orchestrator's own events, and nothing else."""

from enum import StrEnum
from typing import Final

from orchestrator.messages.base import Record
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Evaluation,
    Failure,
    Limits,
    OriginalMessage,
    Plan,
    ReplyAddress,
    Review,
    Usage,
    Value,
)

STATE_VERSION: Final = 2
"""Version of the state's form; a snapshot of a newer one is refused."""


class Phase(StrEnum):
    AWAITED = "AWAITED"
    """A request came before its task."""
    PLANNING = "PLANNING"
    EXECUTING = "EXECUTING"
    EVALUATING = "EVALUATING"
    ENDED = "ENDED"


class Outcome(StrEnum):
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    REFUSED = "REFUSED"


class StepStatus(StrEnum):
    WAITING = "WAITING"
    """Waits for steps before it, or for a free place."""
    RUNNING = "RUNNING"
    """An attempt is open, or waits to be tried again."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class StepState(Record, frozen=True, kw_only=True):
    status: StepStatus = StepStatus.WAITING
    attempts: int = 0
    missing: int = 0
    """Number of steps that it still waits for."""
    tool: str = ""
    output: Value | None = None
    """Dropped once nothing needs it any more."""
    failure: Failure | None = None


class PendingRetry(Record, frozen=True, kw_only=True):
    """A failed call that is tried again at `retry_at` (Unix time in microseconds)."""

    call: Call
    retry_at: int
    avoid: tuple[str, ...] = ()


class ReportedUsage(Record, frozen=True, kw_only=True):
    """A reply whose usage of models is counted. A command that is delivered twice is handled twice: both replies have
    the same id, and each reports what it has used."""

    reply: str
    """Id of the reply."""
    written_at: int
    call_id: str
    revision: int
    """Of the call."""


class Task(Record, frozen=True, kw_only=True):
    """The task as it was accepted."""

    goal: str
    context: Value | None = None
    memory: Value | None = None
    key: str = ""
    playbook: str = ""
    profile: AgentProfile
    limits: Limits
    received_at: int
    deadline_at: int
    not_before: int = 0
    parent: str | None = None
    reply_to: ReplyAddress | None = None
    labels: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    submitted: OriginalMessage


class Session(Record, frozen=True, kw_only=True):
    """One run of the saga. Times are Unix time in microseconds."""

    correlation_id: str
    agent: str = "default"
    tenant: str = "default"
    sequence: int = 0
    phase: Phase = Phase.AWAITED
    outcome: Outcome | None = None
    task: Task | None = None
    awaited_until: int = 0
    """When a session whose task has not arrived is refused."""

    revision: int = 0
    """Of the plan requested last."""
    turn: int = 0
    """Of the plan requested last. The revisions of one turn correct each other."""
    conversation: Value | None = None
    """What the planner has said and was told: the last segment."""
    feedback: str = ""
    """Why another revision is needed."""
    plan: Plan | None = None
    proposed: Plan | None = None
    """A plan that waits for its reviews."""
    proposal: Call | None = None
    """The call that it replied to."""
    reviews: tuple[Review, ...] = ()

    steps: dict[str, StepState] = {}  # noqa: RUF012 - msgspec copies it
    dependents: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - msgspec copies it
    """Steps that wait for a step, by its name."""
    kept: tuple[str, ...] = ()
    """Steps whose outputs the result or a criterion names."""
    succeeded: int = 0
    """Number of steps of the plan that have succeeded."""
    ready: tuple[str, ...] = ()
    """Steps that wait for no other step and have not started, in the plan's order."""
    calls: dict[str, Call] = {}  # noqa: RUF012 - msgspec copies it
    """Open calls, by call id."""
    retries: dict[str, PendingRetry] = {}  # noqa: RUF012 - msgspec copies it
    """Failed calls that are tried again later, by the id of the failed attempt."""
    uncounted: dict[str, int] = {}  # noqa: RUF012 - msgspec copies it
    """Calls that were closed without a report of their usage, and how many runs were counted for each."""

    reported: tuple[ReportedUsage, ...] = ()
    """Replies to calls of this plan and the one before, or to uncounted calls, whose usage of models is counted."""

    unevaluated: bool = False
    """Whether a step has succeeded since the last evaluation was requested."""
    evaluation: Evaluation | None = None
    """The last one, until the session has followed its advice."""
    evaluations: int = 0
    result: Value | None = None
    used: Usage = Usage()

    cancel: str | None = None
    """Why the session is being cancelled; None where it is not."""
    give_up: Failure | None = None
    """Why it cannot go on, until it is escalated."""
    escalated: Failure | None = None
    """Why it is parked: it waits for a person."""

    @property
    def current_turn(self) -> int:
        """Number of the turn, from 1. Sessions that began before there were turns are in their first."""
        return max(1, self.turn)

    @property
    def concludes(self) -> bool:
        """Whether the plan leads to a result. An open plan without one leads to the planner's next turn."""
        return self.plan is not None and (not self.plan.open or self.plan.result is not None)

    @property
    def done(self) -> bool:
        """Whether every step of the plan has succeeded."""
        return self.succeeded == len(self.steps)

    @property
    def parked(self) -> bool:
        return self.escalated is not None

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def settled(self) -> bool:
        """Whether it has ended or is escalated."""
        return self.ended or self.parked

    def waiting_for(self, *kinds: CallKind) -> tuple[Call, ...]:
        """Open calls of these kinds."""
        return tuple(call for call in self.calls.values() if call.kind in kinds)

"""The row of a session in the list of sessions, updated event by event."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.messages import events
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.call_kinds import CALL_KINDS
from orchestrator.messages.types import Failure, Usage, Value
from orchestrator.messages.usage import tokens_of
from orchestrator.saga import OUTCOMES, Outcome


class SessionRow(Struct, frozen=True, kw_only=True):
    """One session in the list. Times are Unix time in microseconds, `tokens` are input and output together, with
    those that were cached."""

    correlation_id: str
    phase: str
    """awaited (a request came before its task), planning, executing, evaluating, escalated, completed,
    failed, cancelled or refused."""
    goal: str = ""
    agent: str
    tenant: str
    key: str = ""
    """Business key of its task."""
    started_at: int
    updated_at: int
    ended_at: int | None = None
    sequence: int = 0
    revision: int = 0
    turn: int = 0
    tool_calls: int = 0
    model_requests: int = 0
    tokens: int = 0
    tokens_cached: int = 0
    cost_micro_usd: int = 0
    result: Value | None = None
    failure: Failure | None = None


ESCALATED: Final = "escalated"

PHASES: Final[dict[type[SessionEvent], str]] = {
    events.TaskReceived: "planning",
    events.PlanRequested: "planning",
    events.PlanAccepted: "executing",
    events.EvaluationRequested: "evaluating",
    events.EvaluationRecorded: "executing",
    events.TaskEscalated: ESCALATED,
    **{kind: outcome.lower() for kind, outcome in OUTCOMES.items()},
}
"""The phase that begins with an event."""

ENDED: Final = frozenset(outcome.lower() for outcome in Outcome)
"""Final phases. `escalated` is not one: the session waits for a person."""


def begun(event: SessionEvent) -> SessionRow:
    """The row of a session whose first known event this is."""
    return SessionRow(
        correlation_id=event.correlation_id,
        phase="awaited",
        agent=event.agent,
        tenant=event.tenant,
        started_at=event.occurred_at,
        updated_at=event.occurred_at,
    )


def projected(row: SessionRow, event: SessionEvent) -> SessionRow:
    """The row after an event; unchanged for an event that it already contains.

    While a session is active, the usage of calls that timed out may be missing. Its last event has the total.
    """
    if event.sequence <= row.sequence:
        return row
    row = _detailed(_counted(row, event), event)
    phase = PHASES.get(type(event), row.phase)
    if isinstance(event, events.RequestRefused) and row.phase == "awaited":
        phase = Outcome.REFUSED.lower()
    return replace(
        row,
        phase=phase,
        sequence=event.sequence,
        updated_at=event.occurred_at,
        ended_at=event.occurred_at if phase in ENDED else None,
    )


def _detailed(row: SessionRow, event: SessionEvent) -> SessionRow:
    match event:
        case events.TaskReceived():
            return replace(row, goal=event.goal, agent=event.agent, tenant=event.tenant, key=event.key)
        case events.PlanRequested():
            return replace(row, revision=event.call.revision, turn=max(1, event.turn))
        case events.TaskCompleted():
            return replace(row, result=event.result, failure=None)
        case events.TaskFailed() | events.TaskEscalated() | events.TaskRefused():
            return replace(row, failure=event.failure)
        case _:
            return row


def _counted(row: SessionRow, event: SessionEvent) -> SessionRow:
    total = getattr(event, "total", None)
    if isinstance(total, Usage):
        return replace(
            row,
            tool_calls=total.tool_calls,
            model_requests=total.model_requests,
            tokens=tokens_of(total),
            tokens_cached=total.tokens_cached,
            cost_micro_usd=total.cost_micro_usd,
        )
    used = getattr(event, "usage", None)
    if isinstance(event, events.CallTimedOut):
        used = Usage(tool_calls=CALL_KINDS[event.call.kind].unreported_runs)
    if not isinstance(used, Usage):
        return row
    return replace(
        row,
        tool_calls=row.tool_calls + used.tool_calls,
        model_requests=row.model_requests + used.model_requests,
        tokens=row.tokens + tokens_of(used),
        tokens_cached=row.tokens_cached + used.tokens_cached,
        cost_micro_usd=row.cost_micro_usd + used.cost_micro_usd,
    )

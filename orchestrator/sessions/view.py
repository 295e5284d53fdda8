"""The view of a session for people and programs: `orchestrator sessions show`."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from jsonpointer import JsonPointerException, set_pointer

from orchestrator.bus.headers import rfc3339
from orchestrator.errors import ContractError
from orchestrator.messages.base import Event
from orchestrator.messages.events import PlanAccepted, PlanRequested
from orchestrator.messages.types import Document, Step, Value
from orchestrator.messages.usage import tokens_of
from orchestrator.saga import Phase, Session
from orchestrator.sessions.projection import ESCALATED
from orchestrator.sessions.timeline import entry_of, in_order

Fetch = Callable[[Value], Value]
"""Loads the bytes of a value; raises `ContractError` where that fails."""


class StepView(msgspec.Struct, frozen=True):
    """`status` is waiting, running, succeeded or failed; `tool` is empty until one is chosen."""

    id: str
    tool: str
    status: str
    attempts: int


class EntryView(msgspec.Struct, frozen=True):
    """`occurred_at` is ISO 8601 in UTC with microseconds; `sequence` is null for events of services."""

    sequence: int | None
    type: str
    occurred_at: str
    summary: str


class SessionView(msgspec.Struct, frozen=True):
    """`cost` is in US dollars, `tokens` has `tokens_cached` in it; `plan` and `result` are plain JSON; `phase` as in
    `phase_of`."""

    correlation_id: str
    phase: str
    goal: str
    agent: str
    plan: dict[str, Any] | None
    result: Any
    steps: tuple[StepView, ...]
    tool_calls: int
    model_requests: int
    tokens: int
    tokens_cached: int
    cost: float
    timeline: tuple[EntryView, ...]


def view_of(session: Session, events: Iterable[Event], fetch: Fetch | None = None) -> SessionView:
    """The view of a replayed state and its events.

    A result in the value store is read with `fetch`; without `fetch`, it is shown by its URI and size.
    """
    used = session.used
    ordered = in_order(events)
    return SessionView(
        correlation_id=session.correlation_id,
        phase=phase_of(session),
        goal=session.task.goal if session.task else "",
        agent=session.agent,
        plan=_plan(ordered),
        result=shown(session.result, fetch),
        steps=_steps(session),
        tool_calls=used.tool_calls,
        model_requests=used.model_requests,
        tokens=tokens_of(used),
        tokens_cached=used.tokens_cached,
        cost=used.cost_micro_usd / 1_000_000,
        timeline=tuple(
            EntryView(entry.sequence, entry.type, rfc3339(entry.occurred_at), entry.summary)
            for entry in map(entry_of, ordered)
        ),
    )


def phase_of(session: Session) -> str:
    """The phase for people: the outcome of an ended session, `escalated` for a parked one."""
    if session.parked and not session.ended:
        return ESCALATED
    if session.phase is Phase.ENDED and session.outcome:
        return session.outcome.lower()
    return session.phase.lower()


def shown(value: Value | None, fetch: Fetch | None = None) -> Any:
    """Content of a value: JSON as data, text as text, anything else by its size."""
    if value is None:
        return None
    if value.inline is None and fetch is not None:
        value = fetch(value)
    content = value.inline
    if content is None:
        return {"uri": value.uri, "size": value.size}
    if value.media_type.endswith("json"):
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ContractError(f"the value is not JSON: {error}") from error
    if value.media_type.startswith("text/"):
        return content.decode("utf-8", "replace")
    return {"media_type": value.media_type, "size": value.size}


def _steps(session: Session) -> tuple[StepView, ...]:
    planned = {step.step_id: step.tool for step in session.plan.steps} if session.plan else {}
    return tuple(
        StepView(name, state.tool or planned.get(name, ""), state.status.lower(), state.attempts)
        for name, state in session.steps.items()
    )


_OPTIONAL: Final = ("tool", "capability", "after")


def _plan(ordered: Iterable[Event]) -> dict[str, Any] | None:
    """The plan accepted last. The state may already be at the revision that it has requested next."""
    accepted: PlanAccepted | None = None
    turns: dict[int, int] = {}
    for event in ordered:
        match event:
            case PlanRequested():
                turns[event.call.revision] = event.turn
            case PlanAccepted():
                accepted = event
            case _:
                pass
    if accepted is None:
        return None
    plan, revision = accepted.plan, accepted.call.revision
    return {
        "revision": revision,
        "turn": max(1, turns.get(revision, 1)),
        "open": plan.open,
        "planner": plan.planner,
        "playbook": plan.playbook,
        "rationale": plan.rationale,
        "steps": [_planned(step) for step in plan.steps],
    }


def _planned(step: Step) -> dict[str, Any]:
    given = {name: getattr(step, name) for name in _OPTIONAL if getattr(step, name)}
    return {"id": step.step_id, **given, "arguments": _unfilled(step.arguments)}


def _unfilled(document: Document) -> Any:
    """The document with its references as in a playbook: `{$from: step, at: /pointer}`."""
    content = shown(document.body)
    for reference in document.references:
        written = {"$from": reference.step_id, **({"at": reference.at} if reference.at else {})}
        if not reference.into:
            return written
        try:
            content = set_pointer(content, reference.into, written, inplace=True)
        except JsonPointerException:
            # The body is in the value store: a reference into it cannot be shown in its place.
            continue
    return content

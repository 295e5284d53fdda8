"""Showing what a session's planner said and was told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.call_kinds import call_of, purpose_of
from orchestrator.messages.events import PlanAccepted, PlanProposed, PlanRejected
from orchestrator.messages.types import CallKind, ModelPolicy, Usage, Value
from orchestrator.messages.usage import NO_USAGE, total_usage
from orchestrator.messages.values import read_json
from orchestrator.operations.errors import NotFoundError
from orchestrator.operations.sessions import replayed_session
from orchestrator.sdk.conversations import NO_OPENING, Opening, Segment, segment_of
from orchestrator.sessions.timeline import own_events, until
from orchestrator.sessions.transcripts import resolved
from orchestrator.sessions.view import Fetch, shown

_PLANNED: Final = (PlanProposed, PlanAccepted, PlanRejected)
"""Events that say how far the conversation is."""


@dataclass(frozen=True)
class ShownTurn:
    """What one plan added to a conversation. A turn that was corrected has one for each of its plans."""

    turn: int
    revision: int
    planned_at: int | None
    """When the plan came, Unix time in microseconds; None if the session's events do not say."""
    used: Usage
    """What planning used, all attempts at this plan together."""
    segment: Value
    """Where it is in the value store."""
    messages: tuple[Any, ...]
    """JSON data, in the form of the planner that wrote it."""


@dataclass(frozen=True)
class ShownOpening:
    """What the planner was told once, as JSON data."""

    context: Any = None
    memory: Any = None
    model: ModelPolicy | None = None
    instructions: Any = None
    examples: Any = None


@dataclass(frozen=True)
class ShownConversation:
    """A conversation up to one of its session's events. `warnings` say what is missing or may be wrong."""

    correlation_id: str
    agent: str
    goal: str
    sequence: int
    opening: ShownOpening
    turns: tuple[ShownTurn, ...]
    warnings: tuple[str, ...] = ()


def show_conversation(
    events: Sequence[Event], at: int | None, fetch: Fetch, *, full: bool = False
) -> ShownConversation:
    """The conversation of a session, after all of its events or as it was after the event numbered `at`.

    Values that it refers to stay references, unless `full`. Raises `NotFoundError` for a session without a
    conversation, and as `show_session` does; `ContractError` or `UnavailableError` for a segment that cannot be read.
    """
    session, warnings = replayed_session(events, at)
    own = own_events(events if at is None else until(events, at))
    if session.conversation is None:
        when = "" if at is None else f" after event {at}"
        raise NotFoundError(
            f"session {session.correlation_id} has no conversation{when}: its planner adds no messages to its plans, "
            "or has not planned yet; `orchestrator sessions show` shows its plan"
        )
    planning = _planning(own)
    chain = _chain(session.conversation, planning, fetch)
    values = _Values(fetch if full else None)
    turns = tuple(_turn(value, segment, planning, values) for value, segment in chain)
    return ShownConversation(
        correlation_id=session.correlation_id,
        agent=session.agent,
        goal=session.task.goal if session.task else "",
        sequence=session.sequence,
        opening=_opening(chain[0][1].opening or NO_OPENING, values),
        turns=turns,
        warnings=(*warnings, *values.problems),
    )


@dataclass
class _Planning:
    """What the session's events say about one of its plans."""

    used: Usage = NO_USAGE
    planned_at: int | None = None
    segments: set[str | None] = field(default_factory=set)
    """URIs of the conversation's head with this plan."""


def _planning(own: Iterable[SessionEvent]) -> dict[int, _Planning]:
    """By revision."""
    found: dict[int, _Planning] = {}
    for event in own:
        call = call_of(event)
        if call is None or purpose_of(call) is not CallKind.PLAN:
            continue
        plan = found.setdefault(call.revision, _Planning())
        if isinstance(usage := getattr(event, "usage", None), Usage):
            plan.used = total_usage(plan.used, usage)
        if isinstance(event, _PLANNED):
            plan.planned_at = plan.planned_at or event.occurred_at
            plan.segments.add(event.conversation.uri if event.conversation else None)
    return found


class _Values:
    """Loads the values that a conversation refers to; none without `fetch`."""

    def __init__(self, fetch: Fetch | None) -> None:
        self._fetch = fetch
        self.problems: list[str] = []

    def shown(self, value: Value | None) -> Any:
        try:
            return shown(value, self._fetch)
        except (ContractError, UnavailableError) as error:
            self.problems.append(f"a value of the conversation cannot be read: {error}")
            return shown(value)

    def resolved(self, messages: tuple[Any, ...]) -> tuple[Any, ...]:
        if self._fetch is None:
            return messages
        return tuple(resolved(message, self.shown) for message in messages)


def _chain(head: Value, planning: Mapping[int, _Planning], fetch: Fetch) -> list[tuple[Value, Segment]]:
    """The segments up to `head`, oldest first."""
    found: list[tuple[Value, Segment]] = []
    following: Value | None = head
    while following is not None:
        try:
            segment = segment_of(following, read_json(fetch(following)))
        except (ContractError, UnavailableError) as error:
            raise type(error)(
                f"{_part(following, planning)} cannot be read: {error}; ORCHESTRATOR_VALUES_URL has to name the value "
                "store of the services"
            ) from error
        found.append((following, segment))
        following = segment.previous
    return found[::-1]


def _part(value: Value, planning: Mapping[int, _Planning]) -> str:
    """The part of a conversation that a segment is, as far as the session's events say."""
    revision = min((number for number, plan in planning.items() if value.uri in plan.segments), default=None)
    if revision is None:
        return "the beginning of the conversation"
    return f"what plan {revision} added to the conversation"


def _turn(value: Value, segment: Segment, planning: Mapping[int, _Planning], values: _Values) -> ShownTurn:
    plan = planning.get(segment.revision, _Planning())
    return ShownTurn(
        turn=segment.turn,
        revision=segment.revision,
        planned_at=plan.planned_at,
        used=plan.used,
        segment=value,
        messages=values.resolved(segment.messages),
    )


def _opening(opening: Opening, values: _Values) -> ShownOpening:
    model = opening.model
    return ShownOpening(
        context=values.shown(opening.context),
        memory=values.shown(opening.memory),
        model=model,
        instructions=values.shown(model.instructions) if model else None,
        examples=values.shown(model.examples) if model else None,
    )

"""Replays a session from its own events: its state at any event, and whether its history is complete."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.errors import OrchestratorError
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.saga import Session, evolve


@dataclass(frozen=True)
class Replay:
    """`session` is the state after the last event before the first gap; None without events.

    `problems` say what is wrong with the history, for people; empty for a complete one.
    """

    session: Session | None
    problems: tuple[str, ...] = ()


def replay(events: Iterable[Event], at: int | None = None) -> Replay:
    """Folds the session's own events among these, given in any order, up to event number `at`.

    An event that is given twice counts once and is reported. Raises `OrchestratorError` where event `at` does
    not exist.
    """
    own = sorted((e for e in events if isinstance(e, SessionEvent)), key=lambda event: event.sequence)
    if at is not None and not (own and 1 <= at <= own[-1].sequence):
        last = own[-1].sequence if own else 0
        raise OrchestratorError(
            f"event {at} does not exist: the events of the session are numbered from 1 to {last}"
        )
    session: Session | None = None
    problems: list[str] = []
    before: SessionEvent | None = None
    for event in own:
        if at is not None and event.sequence > at:
            break
        problems += _between(before, event)
        before = event
        if event.sequence == (session.sequence if session else 0) + 1:
            session = evolve(session, event)
    return Replay(session, tuple(problems))


def _between(before: SessionEvent | None, event: SessionEvent) -> Iterable[str]:
    last = before.sequence if before else 0
    if before is not None and event.sequence == last:
        same = event.event_id == before.event_id
        yield f"event {last} appears twice" if same else f"two different events have the number {last}"
    elif event.sequence == last + 2:
        yield f"event {last + 1} is missing"
    elif event.sequence > last + 1:
        yield f"events {last + 1} to {event.sequence - 1} are missing"

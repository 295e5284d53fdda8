"""The timeline of a session: its events in causal order, one entry each."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.call_kinds import CALL_KINDS, call_of, purpose_of
from orchestrator.sdk.history import TimelineEntry
from orchestrator.sessions.summaries import summary


def entry_of(event: Event) -> TimelineEntry:
    sequence = event.sequence if isinstance(event, SessionEvent) else None
    call = call_of(event)
    step = call.step_id if call and CALL_KINDS[purpose_of(call)].of_step else ""
    return TimelineEntry(sequence, type(event).__name__, event.occurred_at, summary(event), step)


def timeline(events: Iterable[Event]) -> list[TimelineEntry]:
    """Entries of one session's events, given in any order; an event given twice counts once."""
    return [entry_of(event) for event in in_order(events)]


def in_order(events: Iterable[Event]) -> list[Event]:
    """The events by time, but own events by sequence, and none before its cause: clocks may differ."""
    known = {event.event_id: event for event in events}
    waits = dict.fromkeys(known, 0)
    leads_to: dict[str, list[str]] = {event_id: [] for event_id in known}
    for earlier, later in _edges(list(known.values())):
        leads_to[earlier].append(later)
        waits[later] += 1
    free = [_place(known[event_id]) for event_id, count in waits.items() if count == 0]
    heapify(free)
    ordered = []
    while free:
        event = known[heappop(free)[-1]]
        ordered.append(event)
        for later in leads_to[event.event_id]:
            waits[later] -= 1
            if waits[later] == 0:
                heappush(free, _place(known[later]))
    if len(ordered) < len(known):
        # In a damaged log two events may cause each other: they are still shown, by time.
        ordered += sorted((known[event_id] for event_id, count in waits.items() if count), key=_place)
    return ordered


def own_events(events: Iterable[Event]) -> list[SessionEvent]:
    """The orchestrator's events among these, by sequence, each once."""
    own = {event.event_id: event for event in events if isinstance(event, SessionEvent)}
    return sorted(own.values(), key=lambda event: event.sequence)


def until(events: Iterable[Event], sequence: int) -> list[Event]:
    """The events up to the session's own event of that number, in order."""
    ordered = in_order(events)
    last = [
        place
        for place, event in enumerate(ordered)
        if isinstance(event, SessionEvent) and event.sequence <= sequence
    ]
    return ordered[: last[-1] + 1] if last else []


def _place(event: Event) -> tuple[int, int, str]:
    own = event.sequence if isinstance(event, SessionEvent) else 0
    return event.occurred_at, own, event.event_id


def _edges(events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Pairs of ids: the first comes before the second.

    The cause of a service's event may be a command, which is not an event: then it follows what opened its call.
    """
    own = own_events(events)
    for earlier, later in pairwise(own):
        yield earlier.event_id, later.event_id
    opened: dict[str, str] = {}
    for fact in own:
        if (call := call_of(fact)) is not None:
            opened.setdefault(call.call_id, fact.event_id)
    known = {event.event_id for event in events}
    history = {fact.event_id for fact in own}
    for event in events:
        if event.causation_id in known and not {event.event_id, event.causation_id} <= history:
            yield event.causation_id, event.event_id
        elif event.event_id not in history and (call := call_of(event)) and call.call_id in opened:
            yield opened[call.call_id], event.event_id

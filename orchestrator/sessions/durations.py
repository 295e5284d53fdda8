"""Where the time of a session went: how long each plan, step and evaluation waited and worked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from orchestrator.messages import events
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.call_kinds import CALL_KINDS, call_name, call_of
from orchestrator.messages.types import Call, Usage
from orchestrator.sessions.summaries import duration
from orchestrator.sessions.timeline import in_order


@dataclass(frozen=True)
class Work:
    """One plan, step, review or evaluation, all its attempts together. Times are microseconds.

    `working` is the time that planners, tools and evaluators report, `selecting` that of the tool selector.
    `waiting` is the rest: topics, queues, recovery, and the delay before a retry.
    """

    name: str
    activity: str
    """planning, reviewing, running or evaluating."""
    selects: bool
    """Whether a tool is selected for it."""
    attempts: int
    began: int
    """Since the session's first event."""
    waiting: int
    selecting: int
    working: int

    @property
    def took(self) -> int:
        return self.waiting + self.selecting + self.working


@dataclass(frozen=True)
class WhereTimeWent:
    """Work in order of its beginning, and the wall time from the first event to the last."""

    total: int
    work: tuple[Work, ...]

    def lines(self) -> list[str]:
        """A plain table with a header line."""
        header = ("", "attempts", "began", "waiting", "selecting", "working", "")
        rows = [
            (
                work.name,
                str(work.attempts),
                _shown(work.began),
                _shown(work.waiting),
                _shown(work.selecting) if work.selects else "",
                _shown(work.working),
                work.activity,
            )
            for work in self.work
        ]
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        table = ["  ".join(_cells(row, widths)).rstrip() for row in (header, *rows)]
        return [*table, f"total {_shown(self.total)}"]


def where_time_went(session: Iterable[Event]) -> WhereTimeWent:
    """From the events of one session. The reports of services are more exact, but its own events are enough."""
    ordered = in_order(session)
    if not ordered:
        return WhereTimeWent(0, ())
    own = [event for event in ordered if isinstance(event, SessionEvent)]
    start, end = ordered[0].occurred_at, (own or ordered)[-1].occurred_at
    groups: dict[tuple[int, str], list[_Attempt]] = {}
    for attempt in _attempts(ordered):
        groups.setdefault((attempt.call.revision, call_name(attempt.call)), []).append(attempt)
    work = [_work(name, attempts, start) for (_, name), attempts in groups.items()]
    return WhereTimeWent(max(0, end - start), tuple(sorted(work, key=lambda one: one.began)))


@dataclass
class _Attempt:
    call: Call
    opened: int
    selected: int | None = None
    replied: int | None = None
    worked: int | None = None
    reported: set[str] = field(default_factory=set)
    """Which of its times a service reported; the later ones of the orchestrator do not replace them."""

    def note(self, name: str, at: int, event: Event) -> None:
        if name in self.reported:
            return
        setattr(self, name, at)
        if not isinstance(event, SessionEvent):
            self.reported.add(name)


def _attempts(ordered: Iterable[Event]) -> Iterator[_Attempt]:
    found: dict[str, _Attempt] = {}
    for event in ordered:
        match event:
            case events.PlanRequested() | events.PlanStepReady() | events.EvaluationRequested():
                found[event.call.call_id] = _Attempt(event.call, event.occurred_at)
            case events.ToolSelected() | events.StepAssigned() | events.SelectionFailed():
                if attempt := found.get(event.call.call_id):
                    attempt.note("selected", event.occurred_at, event)
            case events.CallTimedOut():
                if attempt := found.get(event.call.call_id):
                    attempt.note("replied", event.occurred_at, event)
            case events.UsageRecorded():
                # A late reply: its call was over before.
                pass
            case _:
                _note_reply(event, found)
        if isinstance(event, events.PlanProposed):
            for review in event.reviews:
                found[review.call_id] = _Attempt(review, event.occurred_at)
    yield from found.values()


def _note_reply(event: Event, found: dict[str, _Attempt]) -> None:
    """A reply, or what the orchestrator made of it, reports the usage of its call."""
    call, usage = call_of(event), getattr(event, "usage", None)
    if call is None or not isinstance(usage, Usage) or call.call_id not in found:
        return
    attempt = found[call.call_id]
    if attempt.replied is None or not isinstance(event, SessionEvent):
        attempt.note("replied", event.occurred_at, event)
    if usage.duration_ms:
        attempt.note("worked", usage.duration_ms * 1000, event)


def _work(name: str, attempts: list[_Attempt], start: int) -> Work:
    kind = CALL_KINDS[attempts[0].call.kind]
    selecting = working = 0
    for attempt in attempts:
        replied = attempt.opened if attempt.replied is None else attempt.replied
        begun = attempt.opened
        if kind.of_step:
            begun = min(replied, attempt.opened if attempt.selected is None else attempt.selected)
        selecting += begun - attempt.opened
        available = max(0, replied - begun)
        working += available if attempt.worked is None else min(available, attempt.worked)
    ends = [attempt.replied or attempt.opened for attempt in attempts]
    began = attempts[0].opened
    waiting = max(0, max(ends) - began - selecting - working)
    return Work(
        name=name,
        activity=kind.activity,
        selects=kind.of_step,
        attempts=len(attempts),
        began=began - start,
        waiting=waiting,
        selecting=selecting,
        working=working,
    )


def _shown(microseconds: int) -> str:
    return duration(round(microseconds / 1000))


def _cells(row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.ljust(width) if column in (0, len(row) - 1) else text.rjust(width)

"""Offline check of the history of record: every session is folded anew from its events, and compared with its
snapshots. Reads committed records only, joins no group, changes nothing; the orchestrator may run meanwhile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Bus, Received
from orchestrator.bus.standalone import STANDALONE, read_to_end
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.state import snapshots
from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import SessionSnapshot
from orchestrator.saga import Session, evolve

TIMEOUT_S: Final = 30.0
_REPORT_EVERY: Final = 10_000


class Problem(StrEnum):
    GAP = "gap"
    """Events are missing."""
    DUPLICATE = "duplicate"
    """An event's number was there before."""
    STATE_DIFFERS = "state differs"
    """The snapshot is not what its events fold to."""
    UNREADABLE = "unreadable"
    """A record is no event, or no snapshot, that this version can read or apply."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `offset` is of the event, or of the snapshot for a state that differs."""

    problem: Problem
    partition: int
    offset: int
    correlation_id: str
    message: str


@dataclass
class Report:
    partitions: int = 0
    sessions: int = 0
    events: int = 0
    snapshots: int = 0
    compared: int = 0
    """Snapshots that could be compared: their events are still there."""
    truncated: int = 0
    """Sessions whose first events were deleted when their time was over."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.findings


def verify(
    bus: Bus,
    codec: Codec,
    values: MessageValues,
    on_progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Checks every partition. `on_progress` is told now and then, with the report as it is.

    Raises `UnavailableError` if the cluster does not answer.
    """
    report = Report(partitions=bus.partitions(Topic.SESSIONS))
    for number in range(report.partitions):
        _Partition(bus, codec, values, number, report, on_progress).check()
        on_progress(report)
    return report


@dataclass
class _Session:
    """What is known of a session while its events are read."""

    sequence: int
    state: Session | None
    """None where the beginning is not there."""


@dataclass(frozen=True)
class _Snapshot:
    offset: int
    state: Session


class _Partition:
    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        values: MessageValues,
        number: int,
        report: Report,
        on_progress: Callable[[Report], None],
    ) -> None:
        self._bus = bus
        self._codec = codec
        self._values = values
        self._number = number
        self._report = report
        self._on_progress = on_progress
        self._snapshots: dict[str, dict[int, _Snapshot]] = {}
        """By session and by the last event that they contain."""
        self._sessions: dict[str, _Session] = {}

    def check(self) -> None:
        # 1. Snapshots first: an event that comes later than they were read is in none of them.
        for received in self._records(Topic.SNAPSHOTS):
            self._take_snapshot(received)
        is_whole = self._begins_at_zero()
        # 2. The history, which is as long as its retention.
        for received in self._records(Topic.SESSIONS):
            self._take_record(received, is_whole)
        self._report.sessions += len(self._sessions)

    def _records(self, topic: Topic) -> Iterator[Received]:
        return read_to_end(self._bus, [(topic, self._number)], TIMEOUT_S)

    def _begins_at_zero(self) -> bool:
        """Whether nothing was deleted yet."""
        place = (Topic.SESSIONS, self._number)
        consumer = self._bus.consumer(STANDALONE)
        try:
            return consumer.watermarks([place], Deadline.after(TIMEOUT_S))[place][0] == 0
        finally:
            consumer.close()

    def _take_snapshot(self, received: Received) -> None:
        if received.value is None:
            return
        try:
            found = self._codec.decode(received)
            if not isinstance(found, SessionSnapshot):
                return
            state = snapshots.read(found, self._values)
        except (ContractError, ConfigurationError) as error:
            self._find(Problem.UNREADABLE, received, _key(received), str(error))
            return
        self._report.snapshots += 1
        of_session = self._snapshots.setdefault(found.correlation_id, {})
        of_session[found.sequence] = _Snapshot(received.offset, state)

    def _take_record(self, received: Received, is_whole: bool) -> None:
        self._report.events += 1
        if self._report.events % _REPORT_EVERY == 0:
            self._on_progress(self._report)
        try:
            event = self._codec.decode(received)
            if not isinstance(event, SessionEvent):
                raise ContractError(f"{type(event).__name__} is no event of a session's history")
        except ContractError as error:
            self._find(Problem.UNREADABLE, received, _key(received), str(error))
        else:
            self._take(event, received, is_whole)

    def _take(self, event: SessionEvent, received: Received, is_whole: bool) -> None:
        name = event.correlation_id
        known = self._sessions.get(name)
        begins_anew = (
            event.sequence == 1 and known is not None and known.state is not None and known.state.ended
        )
        if known is None or begins_anew:
            known = self._sessions[name] = self._first(event, received, is_whole)
        if event.sequence <= known.sequence:
            said = f"event {event.sequence} lies behind event {known.sequence}"
            self._find(Problem.DUPLICATE, received, name, said)
            return
        if event.sequence > known.sequence + 1:
            said = f"after event {known.sequence} comes event {event.sequence}"
            self._find(Problem.GAP, received, name, said)
            known.state = self._snapshot_before(event)
        self._fold(known, event, received)

    def _first(self, event: SessionEvent, received: Received, is_whole: bool) -> _Session:
        """How a session's history begins: with its first event, or where older ones were deleted."""
        if event.sequence == 1:
            return _Session(0, None)
        if is_whole:
            said = f"its history begins with event {event.sequence}"
            self._find(Problem.GAP, received, event.correlation_id, said)
        else:
            self._report.truncated += 1
        return _Session(event.sequence - 1, self._snapshot_before(event))

    def _snapshot_before(self, event: SessionEvent) -> Session | None:
        found = self._snapshots.get(event.correlation_id, {}).get(event.sequence - 1)
        return found.state if found else None

    def _fold(self, known: _Session, event: SessionEvent, received: Received) -> None:
        """Applies the event, and compares with the snapshot that was taken after it."""
        name, known.sequence = event.correlation_id, event.sequence
        if known.state is not None or event.sequence == 1:
            try:
                known.state = evolve(known.state if event.sequence > 1 else None, event)
            except Exception as error:  # noqa: BLE001 - whatever a broken history does to its fold
                known.state = None
                self._find(Problem.UNREADABLE, received, name, f"{type(error).__name__}: {error}")
        snapshot = self._snapshots.get(name, {}).get(event.sequence)
        if snapshot is None:
            return
        if known.state is None:
            known.state = snapshot.state
            return
        self._report.compared += 1
        if known.state != snapshot.state:
            said = f"the snapshot of event {event.sequence} is not what the events up to it fold to"
            self._report.findings.append(
                Finding(Problem.STATE_DIFFERS, self._number, snapshot.offset, name, said)
            )

    def _find(self, problem: Problem, received: Received, name: str, message: str) -> None:
        self._report.findings.append(Finding(problem, self._number, received.offset, name, message))


def _key(received: Received) -> str:
    return (received.key or b"").decode("utf-8", "replace")

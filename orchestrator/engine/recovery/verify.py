"""Verifies the history offline: folds every session from its events and compares it with its snapshots. Reads
committed records only, joins no group and changes nothing; the orchestrator may run meanwhile.
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
    """An event has a sequence that an earlier event had."""
    STATE_DIFFERS = "state differs"
    """The snapshot differs from the state that its events fold to."""
    UNREADABLE = "unreadable"
    """This version cannot read or apply a record."""


@dataclass(frozen=True)
class Finding:
    """One fault. `offset` is that of the event, or of the snapshot if its state differs."""

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
    """Snapshots that could be compared, because their events are retained."""
    truncated: int = 0
    """Sessions whose first events are past retention."""
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
    """Verifies every partition. Calls `on_progress` with the report so far, every 10,000 events and after a partition.

    Raises `UnavailableError` if the cluster does not respond.
    """
    report = Report(partitions=bus.partitions(Topic.SESSIONS))
    for number in range(report.partitions):
        _Partition(bus, codec, values, number, report, on_progress).check()
        on_progress(report)
    return report


@dataclass
class _Session:
    """A session while its events are read."""

    sequence: int
    state: Session | None
    """None if its first events are missing."""


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
        """By session, and by the sequence of their last event."""
        self._sessions: dict[str, _Session] = {}

    def check(self) -> None:
        # 1. Snapshots first: none of them holds an event that is written after they were read.
        for received in self._records(Topic.SNAPSHOTS):
            self._add_snapshot(received)
        is_whole = self._begins_at_zero()
        # 2. Then the history, as far back as its retention goes.
        for received in self._records(Topic.SESSIONS):
            self._add_record(received, is_whole)
        self._report.sessions += len(self._sessions)

    def _records(self, topic: Topic) -> Iterator[Received]:
        return read_to_end(self._bus, [(topic, self._number)], TIMEOUT_S)

    def _begins_at_zero(self) -> bool:
        """Whether the history is complete, with nothing past retention."""
        place = (Topic.SESSIONS, self._number)
        consumer = self._bus.consumer(STANDALONE)
        try:
            return consumer.watermarks([place], Deadline.after(TIMEOUT_S))[place][0] == 0
        finally:
            consumer.close()

    def _add_snapshot(self, received: Received) -> None:
        if received.value is None:
            return
        try:
            found = self._codec.decode(received)
            if not isinstance(found, SessionSnapshot):
                return
            state = snapshots.read(found, self._values)
        except (ContractError, ConfigurationError) as error:
            self._report_fault(Problem.UNREADABLE, received, received.key_text, str(error))
            return
        self._report.snapshots += 1
        of_session = self._snapshots.setdefault(found.correlation_id, {})
        of_session[found.sequence] = _Snapshot(received.offset, state)

    def _add_record(self, received: Received, is_whole: bool) -> None:
        self._report.events += 1
        if self._report.events % _REPORT_EVERY == 0:
            self._on_progress(self._report)
        try:
            event = self._codec.decode(received)
            if not isinstance(event, SessionEvent):
                raise ContractError(f"{type(event).__name__} does not belong in a session's history")
        except ContractError as error:
            self._report_fault(Problem.UNREADABLE, received, received.key_text, str(error))
        else:
            self._add_event(event, received, is_whole)

    def _add_event(self, event: SessionEvent, received: Received, is_whole: bool) -> None:
        name = event.correlation_id
        known = self._sessions.get(name)
        restarted = (
            event.sequence == 1 and known is not None and known.state is not None and known.state.ended
        )
        if known is None or restarted:
            known = self._sessions[name] = self._first(event, received, is_whole)
        if event.sequence <= known.sequence:
            message = f"event {event.sequence} follows event {known.sequence}"
            self._report_fault(Problem.DUPLICATE, received, name, message)
            return
        if event.sequence > known.sequence + 1:
            message = f"event {event.sequence} follows event {known.sequence}"
            self._report_fault(Problem.GAP, received, name, message)
            known.state = self._snapshot_before(event)
        self._fold(known, event, received)

    def _first(self, event: SessionEvent, received: Received, is_whole: bool) -> _Session:
        """A session whose first retained event this is."""
        if event.sequence == 1:
            return _Session(0, None)
        if is_whole:
            message = f"its history starts with event {event.sequence}"
            self._report_fault(Problem.GAP, received, event.correlation_id, message)
        else:
            self._report.truncated += 1
        return _Session(event.sequence - 1, self._snapshot_before(event))

    def _snapshot_before(self, event: SessionEvent) -> Session | None:
        found = self._snapshots.get(event.correlation_id, {}).get(event.sequence - 1)
        return found.state if found else None

    def _fold(self, known: _Session, event: SessionEvent, received: Received) -> None:
        """Applies the event, and compares the state with the snapshot that was taken after it."""
        name, known.sequence = event.correlation_id, event.sequence
        if known.state is not None or event.sequence == 1:
            try:
                known.state = evolve(known.state if event.sequence > 1 else None, event)
            except Exception as error:  # noqa: BLE001 - a broken history may fail in any way
                known.state = None
                self._report_fault(Problem.UNREADABLE, received, name, f"{type(error).__name__}: {error}")
        snapshot = self._snapshots.get(name, {}).get(event.sequence)
        if snapshot is None:
            return
        if known.state is None:
            known.state = snapshot.state
            return
        self._report.compared += 1
        if known.state != snapshot.state:
            message = (
                f"the snapshot after event {event.sequence} differs from what the events up to it fold to"
            )
            self._report.findings.append(
                Finding(Problem.STATE_DIFFERS, self._number, snapshot.offset, name, message)
            )

    def _report_fault(self, problem: Problem, received: Received, name: str, message: str) -> None:
        self._report.findings.append(Finding(problem, self._number, received.offset, name, message))

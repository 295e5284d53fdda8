"""A batch that is decided but not committed: what its inputs change, and what its transaction writes."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from orchestrator.bus.ports import Commit, Position, Received
from orchestrator.engine.checkpoint import MAX_SNAPSHOTS, StagedCheckpoint
from orchestrator.engine.claims import (
    MATCH,
    claim_of_task,
    ended_session,
    foreign,
    forged,
    has_ended,
    with_link,
)
from orchestrator.engine.offset_metadata import metadata_of
from orchestrator.engine.quarantine import quarantine_failure
from orchestrator.engine.session_change import SessionChange
from orchestrator.engine.staged_output import StagedOutput
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import TooLarge
from orchestrator.engine.state.partition import MOST_AWAITED, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.engine.too_large import handle_too_large
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages import identity
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.saga import Input, Session, Submission, TimePassed, decide

logger: Final = logging.getLogger(__name__)

LATE: Final = "late"
"""Why an input was dropped: its session is over."""
REPEATED: Final = "repeated"
"""Why an input was dropped: its session has handled it before, or waits for something else."""


@dataclass
class StagedBatch:
    """A batch, decided at the time of its output. Live state does not change before `promote`."""

    number: int
    """Number of its transaction."""
    partitions: Mapping[int, Partition]
    output: StagedOutput
    call_ids: CallIds = UNKEYED
    dropped: Counter[str] = field(default_factory=Counter)
    """Inputs that changed nothing: `LATE` or `REPEATED`."""
    held: dict[Position, float] = field(default_factory=dict)
    """Positions with a record that cannot be handled yet, and for how many seconds not."""
    inputs: list[str] = field(default_factory=list)
    """What was handled: locations of records, ids of timers."""
    _positions: dict[Position, int] = field(default_factory=dict)
    _changes: dict[tuple[int, str], SessionChange] = field(default_factory=dict)
    _keyed: dict[tuple[int, bytes], str] = field(default_factory=dict)
    """Sessions that the batch begins, by partition and claim."""
    _event_counts: dict[int, int] = field(default_factory=dict)
    _quarantined: dict[tuple[int, str], None] = field(default_factory=dict)
    _checkpoints: dict[int, StagedCheckpoint] = field(default_factory=dict)
    _idle_timers: list[str] = field(default_factory=list)
    _awaited: Counter[int] = field(default_factory=Counter)
    """Sessions that the batch begins without a task, by partition."""

    @property
    def now(self) -> int:
        """When it is decided, Unix time in microseconds."""
        return self.output.now

    # -- inputs

    def mark_read(self, received: Received) -> bool:
        """Moves the position past the record, regardless of its outcome. False if the position was past it already."""
        place = (received.topic, received.partition)
        if received.offset < self.position(place):
            return False
        self._positions[place] = received.offset + 1
        self.inputs.append(received.location)
        return True

    def hold(self, received: Received, seconds: float) -> None:
        """Leaves out a record that was marked as read, and everything behind it in its partition."""
        place = (received.topic, received.partition)
        self._positions[place] = received.offset
        self.inputs.remove(received.location)
        self.held[place] = seconds

    def position(self, place: Position) -> int:
        """The next offset to handle."""
        return self._positions.get(place, self.partitions[place[1]].positions[place[0]])

    def session(self, partition: int, correlation_id: str) -> Session | None:
        """The session as this batch leaves it so far."""
        change = self._changes.get((partition, correlation_id))
        return change.session if change else self.partitions[partition].session(correlation_id)

    def handle(
        self,
        partition: int,
        correlation_id: str,
        input: Input,
        received: Received | None = None,
        poison_reason: str = "",
    ) -> None:
        """Decides one input. A session whose decision fails is quarantined; the others continue.

        `poison_reason` is why the broker refused the outputs of this input before; empty if it did not. Raises
        `StoreAway` before it changes anything.
        """
        of, session = self.partitions[partition], self.session(partition, correlation_id)
        is_broken = of.is_broken(correlation_id) or (partition, correlation_id) in self._quarantined
        ended = None if is_broken else ended_session(of, session, correlation_id, input)
        if received is not None and not is_broken:
            failure = foreign(session, ended, input) or forged(self.call_ids, correlation_id, input)
            if failure is not None:
                self.output.dead_letter(received, failure, MATCH, poison_reason)
                return
        if is_broken or has_ended(session, ended, input):
            self.dropped[LATE] += 1
            return
        try:
            if poison_reason:
                raise TooLarge(poison_reason)
            self._decide(partition, correlation_id, input)
        except (UnavailableError, ConfigurationError):
            raise
        except TooLarge as error:
            logger.warning("session %s: outputs are too large: %s", correlation_id, error)
            handle_too_large(self, partition, correlation_id, input, received, str(error))
        except Exception as error:  # a bug in a decision must not stop the other sessions
            logger.exception("session %s is quarantined: its decision failed", correlation_id)
            reason = f"{type(error).__name__}: {error}"
            self.quarantine(partition, correlation_id, reason, "decision_failed", received)

    def handle_timer(
        self, partition: int, correlation_id: str, input: TimePassed, poison_reason: str = ""
    ) -> None:
        """Handles a timer that is due. Raises `StoreAway` before it changes anything."""
        self.handle(partition, correlation_id, input, None, poison_reason)
        self.inputs.append(input.message_id)
        if (partition, correlation_id) not in self._changes:
            self._idle_timers.append(correlation_id)

    def quarantine(
        self,
        partition: int,
        correlation_id: str,
        reason: str,
        code: str,
        received: Received | None = None,
        session: Session | None = None,
    ) -> None:
        """Sets a session aside: further inputs of it are dropped."""
        session = session or self.session(partition, correlation_id)
        self._quarantined[partition, correlation_id] = None
        self.output.quarantine(partition, correlation_id, session, quarantine_failure(code, reason), received)

    # -- snapshots and checkpoints

    def checkpoint(self, ends: Mapping[int, int], partition_count: int) -> None:
        """Checkpoints partitions: quarantines their damaged sessions, snapshots stale ones, moves the low-water mark.

        `ends` are the current end offsets of the sessions topic, by partition.
        """
        for number, end in ends.items():
            partition = self.partitions[number]
            for name, damage in partition.damaged.items():
                self.quarantine(number, name, damage.reason, "history_damaged", session=damage.session)
            stale = (
                live
                for live in partition.stale_sessions(end, self.now)
                if (number, live.session.correlation_id) not in self._changes
            )
            sizes = self.output.snapshots(number, islice(stale, MAX_SNAPSHOTS), end)
            self._checkpoints[number] = checkpoint = StagedCheckpoint(partition, end, sizes)
            self.output.records += checkpoint.records(
                self.output.encoder, partition_count, self.number, self.now
            )

    def write_snapshots(self) -> None:
        """Writes snapshots of changed sessions where they are due, and tombstones for those of ended sessions."""
        for (number, correlation_id), change in self._changes.items():
            if (number, correlation_id) not in self._quarantined:
                self._write_snapshot(change)

    # -- outcome

    @property
    def is_empty(self) -> bool:
        """Whether no transaction is needed."""
        return not self.output.records and not self._checkpoints

    @property
    def has_checkpoints(self) -> bool:
        return bool(self._checkpoints)

    def touched(self) -> frozenset[int]:
        """Partitions that the transaction writes for or has read from."""
        read = (number for _, number in self._positions)
        written = (number for number, _ in (*self._changes, *self._quarantined))
        return frozenset((*read, *written, *self._checkpoints))

    def offsets(self, partition_count: int) -> dict[Position, Commit]:
        """The offsets to commit: those of all input topics, of every touched partition."""
        return {
            (topic, number): (self._positions.get((topic, number), position), metadata)
            for number in self.touched()
            for metadata in (metadata_of(self.number, partition_count, self._sessions_end(number)),)
            for topic, position in self.partitions[number].positions.items()
        }

    def advance(self, timers: Timers) -> None:
        """Moves the live positions past what was read. Without a transaction, the next checkpoint commits them."""
        for (topic, number), offset in self._positions.items():
            self.partitions[number].positions[topic] = offset
            self.partitions[number].dirty = True
        for correlation_id in self._idle_timers:
            logger.error("the timer of session %s had no effect; it is disarmed", correlation_id)
            timers.disarm(correlation_id)

    def promote(self, timers: Timers) -> None:
        """Makes the batch live. Call it once the transaction is committed."""
        self.advance(timers)
        for number in self.touched():
            self.partitions[number].batch = self.number
            self.partitions[number].dirty = True
        for number, checkpoint in self._checkpoints.items():
            checkpoint.promote(self.now)
            self.partitions[number].dirty = bool(self.inputs)
        for (number, correlation_id), change in self._changes.items():
            if (number, correlation_id) not in self._quarantined:
                change.promote(self._sessions_end(number), self.now, timers)
        for number, correlation_id in self._quarantined:
            self.partitions[number].quarantine(correlation_id, self.now)
            timers.disarm(correlation_id)
        for number in self._event_counts:
            self.partitions[number].sessions_end = self._sessions_end(number)

    # -- details

    def _decide(self, partition: int, correlation_id: str, input: Input) -> None:
        if isinstance(input, Submission):
            input = self._linked(partition, correlation_id, input)
        before = self.session(partition, correlation_id)
        decision = decide(before, input, correlation_id, self.now, self.call_ids)
        encoded = [self.output.encoder.encode(output) for output in decision.outputs]
        if decision.session is None or not encoded:
            self.dropped[REPEATED] += 1
            return
        change = self._changes.get((partition, correlation_id))
        if change is None:
            change = SessionChange(self.partitions[partition], decision.session)
            self._changes[partition, correlation_id] = change
        change.session = decision.session
        if isinstance(input, Submission) and decision.session.task is not None:
            self._keyed[partition, claim_of_task(input.task)] = correlation_id
        for output, outgoing in zip(decision.outputs, encoded, strict=True):
            self.output.add(output, outgoing)
            if isinstance(output, SessionEvent):
                change.event_bytes += len(outgoing.value or b"")
                self._event_counts[partition] = self._event_counts.get(partition, 0) + 1
        self._bound_awaited(partition, decision.session, before)

    def _bound_awaited(self, partition: int, session: Session, before: Session | None) -> None:
        """Ends a session that waits for its task at once, as if the time for it had passed, where too many wait."""
        if before is not None or session.task is not None or session.ended:
            return
        if self.partitions[partition].awaited + self._awaited[partition] < MOST_AWAITED:
            self._awaited[partition] += 1
            return
        name, until = session.correlation_id, session.awaited_until
        input_id = identity.derived_id("due", name, session.sequence, until)
        self._decide(partition, name, TimePassed(message_id=input_id, until=until))

    def _linked(self, partition: int, correlation_id: str, input: Submission) -> Submission:
        """The task with its link to another session of its business key."""
        of, claim = self.partitions[partition], claim_of_task(input.task)
        live = self._keyed.get((partition, claim)) or of.keyed.get(claim)
        return input if live == correlation_id else with_link(of, claim, live, input, self.now)

    def _write_snapshot(self, change: SessionChange) -> None:
        partition, session = change.partition, change.session
        if session.ended:
            if change.before is not None and change.before.snapshot_bytes:
                self.output.records.append(snapshots.session_tombstone(partition.number, session))
            return
        after = change.after(self.now)
        if snapshots.is_due(after):
            sizes = self.output.snapshots(partition.number, [after], self._sessions_end(partition.number))
            change.snapshot_bytes = sizes.get(session.correlation_id, 0)

    def _sessions_end(self, number: int) -> int:
        """End offset of the sessions topic after the events of this batch."""
        return self.partitions[number].sessions_end + self._event_counts.get(number, 0)

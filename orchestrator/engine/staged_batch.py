"""What one transaction will write, and what becomes of the live sessions once it is committed."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias

from orchestrator.bus.ports import Commit, Outgoing, Position, Received
from orchestrator.delivery.failed_replies import failed_reply
from orchestrator.engine.quarantine import record_dead_letter, refused, session_dead_letter
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder, TooLarge
from orchestrator.engine.state.ended import Chunk, key_of
from orchestrator.engine.state.partition import LiveSession, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind, QuarantinedSession
from orchestrator.saga import Decision, Input, Session, Submission, TimePassed, decide, next_due

logger: Final = logging.getLogger(__name__)

Partitions: TypeAlias = Mapping[int, Partition]

MOST_STALE: Final = 100
"""Sessions that one checkpoint writes snapshots of: a transaction must not grow without bound."""

LATE: Final = "late"
"""Why an input was dropped: its session is over."""
REPEATED: Final = "repeated"
"""Why an input was dropped: its session knows it already, or waits for something else."""
_LONGEST_REASON: Final = 2_000


@dataclass
class _Change:
    """One session in the transaction."""

    session: Session
    event_bytes: int = 0
    snapshot_bytes: int = 0
    """Size of the snapshot that the transaction writes of it; 0 for none."""


@dataclass
class _Checkpoint:
    """What a partition's checkpoint writes down."""

    end: int
    mark: int
    chunks: tuple[tuple[Chunk, int], ...] = ()
    """With how many ids each was written."""
    expired: tuple[Chunk, ...] = ()
    snapshots: dict[str, int] = field(default_factory=dict)
    """Sizes, by session."""


@dataclass
class StagedBatch:
    """A batch being decided, at the time `now`. Nothing live changes before `promote`."""

    number: int
    partitions: Partitions
    encoder: Encoder
    now: int
    outgoing: list[Outgoing] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """What is written, before encoding: for traces, logs and metrics after the commit."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Inputs that changed nothing: `LATE` or `REPEATED`."""
    dead_letters: Counter[Topic] = field(default_factory=Counter)
    """Dead dead_letters of records and sessions that nobody can process, by the topic that brought them about."""
    inputs: list[str] = field(default_factory=list)
    """What was taken in: places of records, ids of times."""
    _positions: dict[Position, int] = field(default_factory=dict)
    _changes: dict[tuple[int, str], _Change] = field(default_factory=dict)
    _events: dict[int, int] = field(default_factory=dict)
    _quarantined: dict[tuple[int, str], None] = field(default_factory=dict)
    _checkpoints: dict[int, _Checkpoint] = field(default_factory=dict)
    _in_vain: list[str] = field(default_factory=list)

    # -- taking in

    def read(self, received: Received) -> bool:
        """Notes that the record has been taken in, whatever comes of it; False for one that was before."""
        place = (received.topic, received.partition)
        at = self._positions.get(place)
        if at is None:
            at = self.partitions[received.partition].positions[received.topic]
        if received.offset < at:
            return False
        self._positions[place] = received.offset + 1
        self.inputs.append(place_of(received))
        return True

    def session(self, partition: int, correlation_id: str) -> Session | None:
        change = self._changes.get((partition, correlation_id))
        return change.session if change else self.partitions[partition].session(correlation_id)

    def handle(
        self,
        partition: int,
        correlation_id: str,
        input: Input,
        received: Received | None = None,
        too_large: str = "",
    ) -> None:
        """Decides about one input. A session whose decision fails is quarantined, the others go on.

        `too_large` says what the broker thought of this input's consequences when they were sent before.
        """
        if (partition, correlation_id) in self._quarantined or self.partitions[partition].is_over(
            correlation_id
        ):
            self.dropped[LATE] += 1
            return
        session = self.session(partition, correlation_id)
        try:
            if too_large:
                raise TooLarge(too_large)
            self._decide(partition, correlation_id, session, input)
        except (UnavailableError, ConfigurationError):
            raise
        except TooLarge as error:
            self._handle_instead(partition, correlation_id, input, received, str(error))
        except Exception as error:  # a bug in a decision must not stop the other sessions
            logger.exception("session %s cannot go on", correlation_id)
            self.quarantine(
                partition, correlation_id, f"{type(error).__name__}: {error}", "decision_failed", received
            )

    def handle_time(
        self, partition: int, correlation_id: str, input: TimePassed, too_large: str = ""
    ) -> None:
        """Tells a session that it is due."""
        self.inputs.append(input.message_id)
        self.handle(partition, correlation_id, input, None, too_large)
        if (partition, correlation_id) not in self._changes:
            self._in_vain.append(correlation_id)

    def forward(self, received: Received, outgoing: Outgoing) -> None:
        """Sends a record on, byte for byte."""
        if self.encoder.fits(outgoing):
            self.outgoing.append(outgoing)
        else:
            self.reject(received, "too large to be forwarded to the partition of its session", "route")

    def reject(self, received: Received, problem: str, stage: str) -> None:
        """Writes a dead letter for a record that nobody can process."""
        failure = Failure(kind=FailureKind.PERMANENT, code="not_processable", message=problem)
        self.dead_letters[received.topic] += 1
        self._write(record_dead_letter(received, failure, stage, self.now))

    def quarantine(
        self,
        partition: int,
        correlation_id: str,
        reason: str,
        code: str,
        received: Received | None = None,
        session: Session | None = None,
    ) -> None:
        """Gives a session up: a dead letter, and a note that outlives restarts."""
        session = session or self.session(partition, correlation_id)
        # Whatever an exception says: the dead letter of a broken session must not break as well.
        reason = reason.encode("utf-8", "replace").decode()[:_LONGEST_REASON]
        failure = Failure(kind=FailureKind.PERMANENT, code=code, message=reason)
        self._quarantined[partition, correlation_id] = None
        self.dead_letters[received.topic if received else Topic.EVENTS] += 1
        self._write(session_dead_letter(correlation_id, session, failure, "decide", self.now, received))
        note = QuarantinedSession(
            correlation_id=correlation_id,
            sequence=session.sequence if session else 0,
            quarantined_at=self.now,
            reason=reason,
        )
        self.outgoing.append(snapshots.quarantine(self.encoder, partition, note))

    # -- what is written beside

    def checkpoint(self, ends: Mapping[int, int], partition_count: int) -> None:
        """Moves low-water marks on, and gives damaged sessions up. `ends`: fresh ends of the sessions topic."""
        for number, end in ends.items():
            partition = self.partitions[number]
            for correlation_id, damage in partition.damaged.items():
                self.quarantine(
                    number, correlation_id, damage.reason, "history_damaged", session=damage.session
                )
            behind = (
                live
                for live in partition.stale_sessions(end, self.now)
                if (number, live.session.correlation_id) not in self._changes
            )
            written = dict(self._snapshots_of(partition, islice(behind, MOST_STALE), end))
            lacking = (
                live.first_offset
                for name, live in partition.live.items()
                if live.lacks and name not in written
            )
            mark = min(lacking, default=end)
            self._checkpoints[number] = checkpoint = _Checkpoint(end, mark, snapshots=written)
            if mark != partition.checkpoint_mark:
                self._write_checkpoint(partition, checkpoint, partition_count)

    def close(self) -> None:
        """Adds the snapshots and tombstones of what was decided."""
        for (number, correlation_id), change in self._changes.items():
            if (number, correlation_id) not in self._quarantined:
                self._snapshot_if_wanted(self.partitions[number], correlation_id, change)

    # -- when it is over

    @property
    def is_empty(self) -> bool:
        """Whether no transaction is needed."""
        return not self.outgoing and not self._checkpoints

    def touched(self) -> frozenset[int]:
        """Partitions that the transaction writes for, or has read from."""
        return frozenset(
            [number for _, number in self._positions]
            + [number for number, _ in self._changes]
            + [number for number, _ in self._quarantined]
            + list(self._checkpoints)
        )

    def offsets(self, metadata: str) -> dict[Position, Commit]:
        """What is committed: the positions of every partition it touches."""
        return {
            (topic, number): (self._positions.get((topic, number), position), metadata)
            for number in self.touched()
            for topic, position in self.partitions[number].positions.items()
        }

    def skip(self, timers: Timers) -> None:
        """Nothing is to be written: what was read is left behind, and committed with the next checkpoint."""
        for (topic, number), offset in self._positions.items():
            self.partitions[number].positions[topic] = offset
            self.partitions[number].unsettled = True
        for correlation_id in self._in_vain:
            logger.error(
                "session %s is due, but has nothing to do: it waits for its next message", correlation_id
            )
            timers.forget(correlation_id)

    def promote(self, timers: Timers) -> None:
        """The transaction is committed: what was staged is live."""
        self.skip(timers)
        for number in self.touched():
            self.partitions[number].batch = self.number
            self.partitions[number].unsettled = True
        for number, checkpoint in self._checkpoints.items():
            self._promote_checkpoint(self.partitions[number], checkpoint)
        for (number, correlation_id), change in self._changes.items():
            if (number, correlation_id) not in self._quarantined:
                self._promote_change(self.partitions[number], correlation_id, change, timers)
        for number, correlation_id in self._quarantined:
            self.partitions[number].quarantine(correlation_id)
            timers.forget(correlation_id)
        for number, count in self._events.items():
            self.partitions[number].sessions_end += count

    # -- details of the above

    def _decide(self, partition: int, correlation_id: str, session: Session | None, input: Input) -> None:
        decision = decide(session, input, correlation_id, self.now)
        encoded = [self.encoder.encode(output) for output in decision.outputs]
        if decision.session is None or not encoded:
            self.dropped[REPEATED] += 1
            return
        self._take(partition, correlation_id, decision, decision.session, encoded)

    def _take(
        self,
        partition: int,
        correlation_id: str,
        decision: Decision,
        session: Session,
        encoded: Iterable[Outgoing],
    ) -> None:
        change = self._changes.get((partition, correlation_id))
        if change is None:
            change = self._changes[partition, correlation_id] = _Change(session)
        change.session = session
        for output, outgoing in zip(decision.outputs, encoded, strict=True):
            self.outgoing.append(outgoing)
            self.messages.append(output)
            if isinstance(output, SessionEvent):
                change.event_bytes += len(outgoing.value or b"")
                self._events[partition] = self._events.get(partition, 0) + 1

    def _handle_instead(
        self, partition: int, correlation_id: str, input: Input, received: Received | None, problem: str
    ) -> None:
        """What follows from the input would not fit into a message: the task is refused, the call fails."""
        logger.warning("session %s: %s", correlation_id, problem)
        if isinstance(input, Submission) and input.refusal is None:
            self.handle(partition, correlation_id, refused(input, problem), received)
        elif failure := failed_reply(input, problem, self.now):
            self._write(failure, partition)
        else:
            self.quarantine(partition, correlation_id, problem, "too_large", received)

    def _snapshot_if_wanted(self, partition: Partition, correlation_id: str, change: _Change) -> None:
        live = partition.live.get(correlation_id)
        if change.session.ended:
            if live is not None and live.snapshot_bytes:
                key = correlation_id.encode()
                self.outgoing.append(snapshots.tombstone(partition.number, key))
            return
        after = self._followed(partition, live, change)
        if snapshots.wanted(after):
            end = partition.sessions_end + self._events.get(partition.number, 0)
            for _, size in self._snapshots_of(partition, [after], end):
                change.snapshot_bytes = size

    def _snapshots_of(
        self, partition: Partition, sessions: Iterable[LiveSession], end: int
    ) -> Iterable[tuple[str, int]]:
        """Writes snapshots; gives the sizes. One that cannot be written is missed by nothing but restore time."""
        for live in sessions:
            name = live.session.correlation_id
            try:
                outgoing = snapshots.snapshot(self.encoder, partition.number, live.session, end)
            except (UnavailableError, ContractError) as error:
                logger.error("no snapshot of session %s can be written: %s", name, error)
                continue
            self.outgoing.append(outgoing)
            yield name, len(outgoing.value or b"")

    def _write_checkpoint(self, partition: Partition, checkpoint: _Checkpoint, partition_count: int) -> None:
        number = partition.number
        checkpoint.chunks = tuple((chunk, len(chunk.ids)) for chunk in partition.ended.unwritten())
        checkpoint.expired = partition.ended.expired(self.now)
        self.outgoing += [self.encoder.encode(chunk.record, number) for chunk, _ in checkpoint.chunks]
        self.outgoing += [snapshots.tombstone(number, key_of(chunk)) for chunk in checkpoint.expired]
        self.outgoing.append(
            snapshots.checkpoint(self.encoder, number, partition_count, self.number, checkpoint.mark)
        )

    def _promote_checkpoint(self, partition: Partition, checkpoint: _Checkpoint) -> None:
        partition.sessions_end = max(partition.sessions_end, checkpoint.end)
        partition.checkpoint_mark = checkpoint.mark
        partition.unsettled = bool(self.inputs)
        for chunk, count in checkpoint.chunks:
            chunk.written = count
        for chunk in checkpoint.expired:
            partition.ended.drop(chunk)
        for name, size in checkpoint.snapshots.items():
            live = partition.live[name]
            partition.put(LiveSession(live.session, checkpoint.end, self.now, 0, size))

    def _promote_change(
        self, partition: Partition, correlation_id: str, change: _Change, timers: Timers
    ) -> None:
        timers.arm(partition.number, correlation_id, next_due(change.session))
        if change.session.ended:
            partition.end(correlation_id, self.now)
        elif change.snapshot_bytes:
            end = partition.sessions_end + self._events.get(partition.number, 0)
            partition.put(LiveSession(change.session, end, self.now, 0, change.snapshot_bytes))
        else:
            partition.put(self._followed(partition, partition.live.get(correlation_id), change))

    def _followed(self, partition: Partition, live: LiveSession | None, change: _Change) -> LiveSession:
        offset, size = partition.sessions_end, change.event_bytes
        if live is None:
            return LiveSession(change.session, offset, self.now, size)
        return live.followed(change.session, offset, self.now, size)

    def _write(self, message: Message, partition: int | None = None) -> None:
        self.messages.append(message)
        self.outgoing.append(self.encoder.encode(message, partition))


def place_of(received: Received) -> str:
    """Where a record lies, as one name."""
    return f"{received.topic}/{received.partition}/{received.offset}"

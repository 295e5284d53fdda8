"""What one transaction will write, and what becomes of the live sessions once it is committed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Commit, Outgoing, Position, Received
from orchestrator.messages import events, identity
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.messages.values import json_value
from orchestrator.runtime import snapshots
from orchestrator.runtime.intake import original
from orchestrator.runtime.live import LiveSession, Partition, Timers
from orchestrator.saga import Input, Session, decide

log = logging.getLogger(__name__)

CHECKPOINT_MICROS: Final = 5_000_000
"""How long a partition's low-water mark may lag before it is written again."""

SERVICE: Final = "orchestrator"

Partitions: TypeAlias = Mapping[int, Partition]


@dataclass
class _Change:
    """One session in the transaction."""

    session: Session
    event_bytes: int = 0
    snapshot_bytes: int = 0
    """Size of the snapshot that the transaction writes of it; 0 for none."""


@dataclass
class Stage:
    """A batch being decided. Nothing live changes before `promote`."""

    number: int
    partitions: Partitions
    codec: Codec
    source: str
    outgoing: list[Outgoing] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """What is written, before encoding: for traces, logs and metrics after the commit."""
    dropped: int = 0
    """Inputs that changed nothing: late or repeated."""
    _positions: dict[Position, int] = field(default_factory=dict)
    _changes: dict[tuple[int, str], _Change] = field(default_factory=dict)
    _events: dict[int, int] = field(default_factory=dict)
    _quarantined: list[tuple[int, str]] = field(default_factory=list)
    _checkpoints: dict[int, int] = field(default_factory=dict)

    def read(self, received: Received) -> None:
        """Notes that the record has been taken in, whatever comes of it."""
        self._positions[received.topic, received.partition] = received.offset + 1

    def session(self, partition: int, correlation_id: str) -> Session | None:
        change = self._changes.get((partition, correlation_id))
        return change.session if change else self.partitions[partition].session(correlation_id)

    def tell(
        self, partition: int, correlation_id: str, told: Input, now: int, received: Received | None = None
    ) -> None:
        """Decides about one input. A session whose decision fails is quarantined, the others go on."""
        owner = self.partitions[partition]
        if correlation_id in owner.ended or correlation_id in owner.quarantined:
            self.dropped += 1
            return
        session = self.session(partition, correlation_id)
        try:
            decision = decide(session, told, correlation_id, now)
            encoded = [self.codec.encode(output, source=self.source) for output in decision.outputs]
        except Exception as error:  # a bug in a decision must not stop the other sessions
            log.exception("session %s cannot go on", correlation_id)
            self._quarantine(partition, correlation_id, session, error, now, received)
            return
        if decision.session is None or not encoded:
            self.dropped += 1
            return
        self.outgoing += encoded
        self.messages += decision.outputs
        change = self._changes.setdefault((partition, correlation_id), _Change(decision.session))
        change.session = decision.session
        for output, outgoing in zip(decision.outputs, encoded, strict=True):
            if isinstance(output, SessionEvent):
                change.event_bytes += len(outgoing.value or b"")
                self._events[partition] = self._events.get(partition, 0) + 1

    def forward(self, outgoing: Outgoing) -> None:
        """Sends a record on, byte for byte."""
        self.outgoing.append(outgoing)

    def reject(self, received: Received, failure: Failure, stage: str, now: int) -> None:
        """Writes a dead letter for a record that nobody can process."""
        key = (received.key or b"").decode("utf-8", "replace")
        letter = _letter(
            identity.canonical_uuid(key) or identity.session_at(*_place(received)),
            identity.derived_id("dead-letter", *_place(received)),
            received,
            failure,
            stage,
            now,
        )
        self._write(letter)

    def close(self, ends: Mapping[int, int], partition_count: int, now: int) -> None:
        """Adds snapshots, tombstones and checkpoints. `ends`: fresh ends of the sessions topic, by partition."""
        for (number, correlation_id), change in self._changes.items():
            self._snapshot(self.partitions[number], correlation_id, change)
        for number, end in ends.items():
            partition = self.partitions[number]
            partition.sessions_end = max(partition.sessions_end, end)
            mark = partition.low_water_mark()
            if mark != partition.checkpoint_mark:
                self._checkpoints[number] = mark
                self.outgoing.append(
                    snapshots.checkpoint(self.codec, partition, partition_count, self.number, mark)
                )
            partition.checkpoint_at = now

    def touched(self) -> frozenset[int]:
        """Partitions that the transaction writes for, or has read from."""
        return frozenset(
            [number for _, number in self._positions]
            + [number for number, _ in self._changes]
            + [number for number, _ in self._quarantined]
        )

    def offsets(self) -> dict[Position, Commit]:
        """What is committed: the positions of every partition it touches, marked with its number."""
        commits: dict[Position, Commit] = {}
        for number in self.touched():
            for topic, position in self.partitions[number].positions.items():
                at = self._positions.get((topic, number), position)
                commits[topic, number] = (at, str(self.number))
        return commits

    def skip(self) -> None:
        """Nothing is to be written: what was read is left behind, and committed with the next transaction."""
        for (topic, number), offset in self._positions.items():
            self.partitions[number].positions[topic] = offset

    def promote(self, timers: Timers) -> None:
        """The transaction is committed: what was staged is live."""
        self.skip()
        for number in self.touched():
            self.partitions[number].batch = self.number
        for number, mark in self._checkpoints.items():
            self.partitions[number].checkpoint_mark = mark
        for number, correlation_id in self._quarantined:
            self.partitions[number].quarantined.add(correlation_id)
            self.partitions[number].drop(correlation_id)
            timers.forget(correlation_id)
        for (number, correlation_id), change in self._changes.items():
            self._promote(self.partitions[number], correlation_id, change, timers)
        for number, count in self._events.items():
            self.partitions[number].sessions_end += count

    def _promote(self, partition: Partition, correlation_id: str, change: _Change, timers: Timers) -> None:
        timers.arm(partition.number, change.session)
        if change.session.ended:
            partition.remember_end(correlation_id)
            return
        live = partition.live.get(correlation_id)
        if change.snapshot_bytes:
            end = partition.sessions_end + self._events.get(partition.number, 0)
            live = LiveSession(change.session, first_offset=end, snapshot_bytes=change.snapshot_bytes)
        elif live is None:
            live = LiveSession(
                change.session,
                first_offset=partition.sessions_end,
                bytes_since_snapshot=change.event_bytes,
            )
        else:
            total = live.bytes_since_snapshot + change.event_bytes
            live = replace(live, session=change.session, bytes_since_snapshot=total)
        partition.put(live)

    def _snapshot(self, partition: Partition, correlation_id: str, change: _Change) -> None:
        live = partition.live.get(correlation_id)
        if change.session.ended:
            if live is not None and live.snapshot_bytes:
                self.outgoing.append(snapshots.tombstone(partition, correlation_id))
            return
        before = live or LiveSession(change.session, first_offset=partition.sessions_end)
        total = before.bytes_since_snapshot + change.event_bytes
        if snapshots.wanted(replace(before, bytes_since_snapshot=total)):
            end = partition.sessions_end + self._events.get(partition.number, 0)
            outgoing = snapshots.snapshot(self.codec, partition, change.session, end)
            change.snapshot_bytes = len(outgoing.value or b"")
            self.outgoing.append(outgoing)

    def _quarantine(
        self,
        partition: int,
        correlation_id: str,
        session: Session | None,
        error: Exception,
        now: int,
        received: Received | None,
    ) -> None:
        failure = Failure(
            kind=FailureKind.PERMANENT, code="decision_failed", message=f"{type(error).__name__}: {error}"
        )
        letter_id = identity.derived_id("quarantine", correlation_id, session.sequence if session else 0)
        letter = _letter(correlation_id, letter_id, received, failure, "decide", now, session)
        self._quarantined.append((partition, correlation_id))
        self._write(letter)

    def _write(self, message: Message) -> None:
        self.messages.append(message)
        self.outgoing.append(self.codec.encode(message, source=self.source))


def _place(received: Received) -> tuple[Topic, int, int]:
    return received.topic, received.partition, received.offset


def _letter(
    correlation_id: str,
    letter_id: str,
    received: Received | None,
    failure: Failure,
    stage: str,
    now: int,
    session: Session | None = None,
) -> events.MessageDeadLettered:
    task = session.task if session else None
    known = original(received) if received else task.submitted if task else None
    if known is None:
        raise ValueError(f"nothing is known of what session {correlation_id} was told")
    return events.MessageDeadLettered(
        event_id=letter_id,
        correlation_id=correlation_id,
        occurred_at=now,
        agent=session.agent if session else "default",
        tenant=session.tenant if session else "default",
        original=known,
        failure=failure,
        service=SERVICE,
        stage=stage,
        state=json_value(session) if session else None,
        sequence=session.sequence if session else None,
    )

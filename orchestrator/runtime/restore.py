"""Restoring one partition: snapshots, then the history of record from the low-water mark on.

1. The group's stable committed offsets come first: a predecessor's transaction is over when they answer.
2. High watermarks of snapshots and sessions are taken as `read_uncommitted` sees them.
3. Both topics are read committed until the *position* reaches those marks; the `read_committed` end alone
   would hide a transaction whose markers are still on their way.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Commit, Consumer, Received
from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint, SessionSnapshot
from orchestrator.runtime import snapshots
from orchestrator.runtime.live import INPUT_TOPICS, LiveSession, Partition
from orchestrator.saga import ENDING, STATE_VERSION, Session, evolve


@dataclass
class Progress:
    """How restoring went, for logs and metrics."""

    partition: int
    snapshots: int = 0
    events: int = 0
    seconds: float = 0.0
    damaged: list[str] = field(default_factory=list)
    """Sessions whose history has a gap, with what is missing."""


def restore(
    number: int,
    partition_count: int,
    consumer: Consumer,
    committed: Mapping[Topic, Commit],
    codec: Codec,
    deadline: Deadline,
) -> tuple[Partition, Progress]:
    """The partition as its last committed transaction left it. `consumer` belongs to no group session.

    Raises `ConfigurationError` for a partition that cannot be trusted: another partition count, a newer state
    version, history deleted above the mark, a checkpoint without a committed offset.
    """
    return _Restore(number, partition_count, consumer, committed, codec, deadline).run()


class _Restore:
    def __init__(
        self,
        number: int,
        partition_count: int,
        consumer: Consumer,
        committed: Mapping[Topic, Commit],
        codec: Codec,
        deadline: Deadline,
    ) -> None:
        self.partition_count = partition_count
        self.consumer = consumer
        self.committed = committed
        self.codec = codec
        self.deadline = deadline
        self.progress = Progress(number)
        self.partition = Partition(number, positions={}, sessions_end=0)
        self.checkpoint: PartitionCheckpoint | None = None
        self.headless: dict[str, int] = {}
        """Sessions seen without their beginning, by the first sequence seen: ended ones, or damage."""

    def run(self) -> tuple[Partition, Progress]:
        started = time.monotonic()
        number = self.partition.number
        logs = ((Topic.SNAPSHOTS, number), (Topic.SESSIONS, number))
        marks = self.consumer.watermarks(logs, self.deadline, read_uncommitted=True)
        self._read(logs[0], marks[logs[0]][0], marks[logs[0]][1], self._take_snapshot)
        low, end = marks[logs[1]]
        self._read(logs[1], self._start_of_history(low), end, self._take_event)
        self._judge()
        self.partition.sessions_end = end
        self.partition.batch = self._last_batch()
        self.partition.positions = self._positions()
        self.progress.seconds = time.monotonic() - started
        return self.partition, self.progress

    def _take_snapshot(self, received: Received) -> None:
        if received.value is None:
            self.partition.drop((received.key or b"").decode())
            return
        match self.codec.decode(received):
            case PartitionCheckpoint() as found:
                self._accept_checkpoint(found)
            case SessionSnapshot() as found:
                session, offset, size = snapshots.read(found), found.sessions_offset, len(received.value)
                self.partition.put(LiveSession(session, first_offset=offset, snapshot_bytes=size))
                self.progress.snapshots += 1

    def _accept_checkpoint(self, found: PartitionCheckpoint) -> None:
        if found.partition_count != self.partition_count:
            raise ConfigurationError(
                f"the session topics had {found.partition_count} partitions when partition {found.partition} "
                f"was written, and have {self.partition_count} now: sessions would lie in other partitions "
                "than their history. Make topics with the old count, or let sessions end and use a new prefix"
            )
        if found.state_version > STATE_VERSION:
            raise ConfigurationError(
                f"partition {found.partition} was written with state version {found.state_version}, this "
                f"orchestrator knows up to {STATE_VERSION}: run a version at least as new"
            )
        self.checkpoint = found

    def _start_of_history(self, low: int) -> int:
        if self.checkpoint is None:
            return low
        mark = self.checkpoint.low_water_mark
        if mark < low:
            raise ConfigurationError(
                f"history of partition {self.partition.number} is needed from offset {mark}, but the sessions "
                f"topic begins at {low}: its retention was too short, or records were deleted. Restore it from "
                "a backup"
            )
        if (Topic.EVENTS) not in self.committed:
            raise ConfigurationError(
                f"partition {self.partition.number} has a checkpoint but its group has no committed offset: "
                "the group was deleted or renamed. Set its offsets to where this partition was processed up to"
            )
        return mark

    def _take_event(self, received: Received) -> None:
        message = self.codec.decode(received)
        if not isinstance(message, SessionEvent):
            raise ContractError(f"{type(message).__name__} does not belong into the sessions topic")
        self.progress.events += 1
        self._fold(message, received)

    def _fold(self, event: SessionEvent, received: Received) -> None:
        correlation_id = event.correlation_id
        live = self.partition.live.get(correlation_id)
        before = live.session if live else None
        sequence = before.sequence if before else 0
        if correlation_id in self.partition.ended or event.sequence <= sequence:
            return
        if event.sequence != sequence + 1:
            self.headless.setdefault(correlation_id, event.sequence)
            if isinstance(event, ENDING):
                self.headless.pop(correlation_id)
                self.partition.remember_end(correlation_id)
            return
        session = evolve(before, event)
        if session.ended:
            self.partition.remember_end(correlation_id)
            return
        size = len(received.value or b"")
        self.partition.put(_followed(live, session, received.offset, size))

    def _judge(self) -> None:
        """A session that began before the mark has ended since, or something is missing."""
        for correlation_id, sequence in self.headless.items():
            known = self.partition.session(correlation_id)
            seen = known.sequence if known else 0
            self.progress.damaged.append(
                f"session {correlation_id}: after event {seen} comes event {sequence}"
            )
            self.partition.drop(correlation_id)
            self.partition.quarantined.add(correlation_id)

    def _last_batch(self) -> int:
        numbers = [batch_number(metadata) for _, metadata in self.committed.values()]
        return max(numbers, default=self.checkpoint.batch if self.checkpoint else 0)

    def _positions(self) -> dict[Topic, int]:
        """Where to go on reading; topics without a commit from their beginning."""
        number = self.partition.number
        missing = [(topic, number) for topic in INPUT_TOPICS if topic not in self.committed]
        lows = self.consumer.watermarks(missing, self.deadline) if missing else {}
        return {
            topic: self.committed[topic][0] if topic in self.committed else lows[topic, number][0]
            for topic in INPUT_TOPICS
        }

    def _read(self, log: tuple[Topic, int], start: int, end: int, take: Callable[[Received], None]) -> None:
        if start >= end:
            return
        self.consumer.assign({log: start})
        while self.consumer.position([log]).get(log, start) < end:
            if self.deadline.passed:
                raise ConfigurationError(
                    f"partition {log[1]} could not be restored in time: {end - start} records of {log[0]} are "
                    "to be read. Give it more time, or more orchestrators, so that each has fewer partitions"
                )
            for received in self._next():
                if received.offset < end:
                    take(received)

    def _next(self) -> Iterable[Received]:
        first = self.consumer.poll(0.1)
        return [] if first is None else [first, *self.consumer.drain(1_000)]


def batch_number(metadata: str) -> int:
    """The number of the transaction that committed an offset, out of the offset's metadata."""
    return int(metadata) if metadata.isdigit() else 0


def _followed(live: LiveSession | None, session: Session, offset: int, size: int) -> LiveSession:
    if live is None:
        return LiveSession(session, first_offset=offset, bytes_since_snapshot=size)
    return replace(live, session=session, bytes_since_snapshot=live.bytes_since_snapshot + size)

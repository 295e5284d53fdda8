"""Restoring one partition: snapshots, then the history of record from the low-water mark on.

1. The group's stable committed offsets come first: a predecessor's transaction is over when they answer.
2. High watermarks of snapshots and sessions are taken as `read_uncommitted` sees them.
3. Both topics are read committed until the *position* reaches those marks; the `read_committed` end alone
   would hide a transaction whose markers are still on their way.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import OffsetLost
from orchestrator.bus.ports import Commit, Consumer, Received
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.recovery.replay import Replay
from orchestrator.engine.state import ended, snapshots
from orchestrator.engine.state.partition import INPUT_TOPICS, Damaged, LiveSession, Partition
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import Topic, entry_named
from orchestrator.messages.identity import canonical_uuid
from orchestrator.messages.types import (
    EndedSessions,
    PartitionCheckpoint,
    QuarantinedSession,
    SessionSnapshot,
)
from orchestrator.saga import STATE_VERSION

logger: Final = logging.getLogger(__name__)

STANDSTILL_S: Final = 30.0
"""Reading that has not moved for so long does not take long: nobody answers."""
REPORT_S: Final = 5.0
"""How often progress is logged."""
_AT_ONCE: Final = 1_000


@dataclass
class Progress:
    """How restoring went, for logs and metrics."""

    partition: int
    snapshots: int = 0
    events: int = 0
    live: int = 0
    damaged: int = 0
    seconds: float = 0.0


def restore(
    number: int,
    partition_count: int,
    consumer: Consumer,
    committed: Mapping[Topic, Commit],
    codec: Codec,
    values: MessageValues,
    deadline: Deadline,
) -> tuple[Partition, Progress]:
    """The partition as its last committed transaction left it. `consumer` belongs to no group session.

    Raises `ConfigurationError` for a partition that cannot be trusted: another partition count, a newer state
    version, history deleted above the mark, a checkpoint without a committed offset. A session that cannot be
    trusted is left in `damaged`, the others go on.
    """
    return _Restore(number, partition_count, consumer, committed, codec, values, deadline).run()


class _Restore:
    def __init__(
        self,
        number: int,
        partition_count: int,
        consumer: Consumer,
        committed: Mapping[Topic, Commit],
        codec: Codec,
        values: MessageValues,
        deadline: Deadline,
    ) -> None:
        self.partition_count = partition_count
        self.consumer = consumer
        self.committed = committed
        self.codec = codec
        self.values = values
        self.deadline = deadline
        self.progress = Progress(number)
        self.partition = Partition(number, positions={}, sessions_end=0)
        self.replay = Replay(self.partition)
        self.checkpoint: PartitionCheckpoint | None = None

    def run(self) -> tuple[Partition, Progress]:
        started = time.monotonic()
        number = self.partition.number
        for _, metadata in self.committed.values():
            self._accept_count(partition_count_in(metadata))
        logs = ((Topic.SNAPSHOTS, number), (Topic.SESSIONS, number))
        marks = self.consumer.watermarks(logs, self.deadline, read_uncommitted=True)
        self._read(logs[0], *marks[logs[0]], self._take_snapshot)
        low, end = marks[logs[1]]
        self._read(logs[1], self._start_of_history(low), end, self._take_event)
        self.replay.finish()
        self._complete(end)
        self.progress.seconds = time.monotonic() - started
        return self.partition, self.progress

    def _complete(self, end: int) -> None:
        partition, progress = self.partition, self.progress
        for correlation_id in partition.live:
            partition.ended.forget(correlation_id)
        partition.sessions_end = end
        partition.batch = self._last_batch()
        partition.positions = self._positions()
        partition.checkpoint_mark = self.checkpoint.low_water_mark if self.checkpoint else -1
        progress.live, progress.damaged = len(partition.live), len(partition.damaged)

    # -- snapshots

    def _take_snapshot(self, received: Received) -> None:
        if received.value is None:
            self._take_tombstone(received.key or b"")
            return
        match self.codec.decode(received):
            case PartitionCheckpoint() as found:
                self._accept_checkpoint(found)
            case SessionSnapshot() as found:
                self._take_session(found, len(received.value))
            case EndedSessions() as found:
                self.partition.ended.load(found)
            case QuarantinedSession() as found:
                self.partition.quarantine(found.correlation_id)

    def _take_tombstone(self, key: bytes) -> None:
        if key.startswith(ended.KEY):
            self.partition.ended.unload(ended.number_in(key))
        else:
            name = key.decode()
            self.partition.drop(name)
            self.partition.damaged.pop(name, None)
            self.partition.quarantined.discard(name)

    def _take_session(self, found: SessionSnapshot, size: int) -> None:
        self.progress.snapshots += 1
        name = found.correlation_id
        self.partition.damaged.pop(name, None)
        try:
            session = snapshots.read(found, self.values)
        except ContractError as error:
            self.partition.drop(name)
            self.partition.damaged[name] = Damaged(found.sequence, str(error))
        else:
            self.partition.put(LiveSession(session, found.sessions_offset, 0, 0, size))

    def _accept_checkpoint(self, found: PartitionCheckpoint) -> None:
        self._accept_count(found.partition_count)
        if found.state_version > STATE_VERSION:
            raise ConfigurationError(
                f"partition {found.partition} was written with state version {found.state_version}, this "
                f"orchestrator knows up to {STATE_VERSION}: run a version at least as new"
            )
        self.checkpoint = found

    def _accept_count(self, count: int) -> None:
        if count not in (0, self.partition_count):
            raise other_count(self.partition.number, count, self.partition_count)

    # -- history

    def _start_of_history(self, low: int) -> int:
        if self.checkpoint is None:
            return low
        number, mark = self.partition.number, self.checkpoint.low_water_mark
        if mark < low:
            raise ConfigurationError(
                f"history of partition {number} is needed from offset {mark}, but the sessions topic begins "
                f"at {low}: its retention was too short, or records were deleted. Restore it from a backup"
            )
        if Topic.EVENTS not in self.committed:
            raise ConfigurationError(
                f"partition {number} has a checkpoint but its group has no committed offset: the group was "
                "deleted or renamed, or nothing ran for longer than the brokers keep offsets. Set the offsets "
                "of the group to where this partition was processed up to"
            )
        return mark

    def _take_event(self, received: Received) -> None:
        self.progress.events += 1
        try:
            event = self.codec.decode(received)
            if not isinstance(event, SessionEvent):
                raise ContractError(f"{type(event).__name__} does not belong into the sessions topic")
        except ContractError as error:
            self._not_understood(received, error)
        else:
            self.replay.take(event, received.offset, len(received.value or b""))

    def _not_understood(self, received: Received, error: ContractError) -> None:
        """An event of a type that is not known was written by a newer version; all else is damage."""
        name = self.codec.type_of(received)
        place = f"offset {received.offset} of sessions in partition {received.partition}"
        if name is not None and name.startswith("agents.events.") and entry_named(name) is None:
            raise ConfigurationError(
                f"at {place} lies a {name}, which this orchestrator does not know: run a version at least as "
                "new as the one that wrote it"
            ) from error
        correlation_id = canonical_uuid((received.key or b"").decode("utf-8", "replace"))
        if correlation_id is None:
            logger.error("nobody knows whose event lies at %s: %s", place, error)
        else:
            self.replay.damage(correlation_id, f"the event at {place} cannot be read: {error}")

    # -- positions

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

    def _read(
        self, log_of: tuple[Topic, int], start: int, end: int, take: Callable[[Received], None]
    ) -> None:
        if start >= end:
            return
        topic, number = log_of
        self.consumer.assign({log_of: start})
        moved_at = time.monotonic()
        report_at = moved_at + REPORT_S
        at = start
        while at < end:
            if self.deadline.passed and time.monotonic() - moved_at >= STANDSTILL_S:
                raise UnavailableError(f"partition {number} could not be restored: {topic} is not answered")
            if self.deadline.passed:
                raise ConfigurationError(
                    f"partition {number} could not be restored in time: {end - at} records of {topic} are left "
                    "to be read. Give it more time, or more orchestrators, so that each has fewer partitions"
                )
            if time.monotonic() >= report_at:
                report_at += REPORT_S
                share = 100 * (at - start) // (end - start)
                logger.info("restoring partition %d: %d %% of %s is read", number, share, topic)
            for received in self._next():
                if received.offset < end:
                    take(received)
            before, at = at, self.consumer.position([log_of]).get(log_of, start)
            if at > before:
                moved_at = time.monotonic()

    def _next(self) -> Iterable[Received]:
        try:
            first = self.consumer.poll(0.1)
            return [] if first is None else [first, *self.consumer.drain(_AT_ONCE)]
        except OffsetLost as error:
            raise ConfigurationError(
                f"records were deleted while partition {self.partition.number} was restored: {error}"
            ) from error


def metadata_of(batch: int, partition_count: int) -> str:
    """What is committed beside an offset: the number of the transaction, and of partitions."""
    return f"{batch}/{partition_count}"


def batch_number(metadata: str) -> int:
    """The number of the transaction that committed an offset; 0 where something else did."""
    number = metadata.partition("/")[0]
    return int(number) if number.isdigit() else 0


def partition_count_in(metadata: str) -> int:
    """How many partitions there were when an offset was committed; 0 where that is not said."""
    count = metadata.partition("/")[2]
    return int(count) if count.isdigit() else 0


def other_count(partition: int, before: int, now: int) -> ConfigurationError:
    return ConfigurationError(
        f"the session topics had {before} partitions when partition {partition} was written, and have {now} "
        "now: sessions would lie in other partitions than their history. Make topics with the old count, or "
        "let sessions end and use a new prefix"
    )

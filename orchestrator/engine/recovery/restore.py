"""Restores one partition: its snapshots, then its history from the low-water mark on.

1. Fetch the group's stable committed offsets first: once they are returned, a predecessor's transaction has ended.
2. Fetch the `read_uncommitted` end offsets of snapshots and sessions.
3. Read both topics as `read_committed` until the *position* reaches those offsets. The `read_committed` end offset
   alone would hide a transaction whose markers are not written yet.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Commit, Consumer, Position, Received
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.offset_metadata import batch_number, sessions_end_in
from orchestrator.engine.recovery.committed import believed, first_positions
from orchestrator.engine.recovery.partition_counts import other_count
from orchestrator.engine.recovery.progress import Progress
from orchestrator.engine.recovery.reach import first_offset, without_commit
from orchestrator.engine.recovery.reading import read
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

_LOG_S: Final = 5.0
"""How long to wait for a leader that is not needed."""
_CLAIM: Final = re.compile(rb"[0-9a-f]{32}")


def restore(
    number: int,
    partition_count: int,
    consumer: Consumer,
    committed: Mapping[Topic, Commit],
    codec: Codec,
    values: MessageValues,
    deadline: Deadline,
) -> tuple[Partition, Progress]:
    """The partition as its last committed transaction left it. `consumer` is outside any group session.

    Commits that an orchestrator cannot have made are logged, and replaced by what the checkpoint says.

    Raises `ConfigurationError` for a partition that cannot be trusted: another partition count, a newer state
    version, history that begins above the low-water mark or ends below what was committed, a checkpoint without a
    committed offset. A session that cannot be trusted is listed in `damaged`; the others are restored.
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
        snapshots_log, history = (Topic.SNAPSHOTS, number), (Topic.SESSIONS, number)
        marks = self.consumer.watermarks((snapshots_log, history), self.deadline, read_uncommitted=True)
        self._read(snapshots_log, *marks[snapshots_log], self._load_record)
        if self.checkpoint is not None and Topic.EVENTS not in self.committed:
            raise without_commit(number)
        self.committed = believed(number, self.committed, self.checkpoint, self.partition_count)
        low, end = marks[history]
        # All are committed together: a higher one among them is somebody else's.
        said = (sessions_end_in(metadata) for _, metadata in self.committed.values() if metadata)
        known = min(said, default=0)
        start = first_offset(self.partition, self.checkpoint, known, (low, end))
        self._read(history, start, end, self._replay_event)
        self.replay.finish()
        self._complete(end)
        self.progress.seconds = time.monotonic() - started
        return self.partition, self.progress

    def _complete(self, end: int) -> None:
        partition, progress = self.partition, self.progress
        partition.sessions_end = end
        partition.batch = self._last_batch()
        partition.positions = self._positions()
        # What somebody else has committed is replaced by the next checkpoint.
        partition.dirty = any(
            not metadata or offset != partition.positions[topic]
            for topic, (offset, metadata) in self.committed.items()
        )
        partition.checkpoint_mark = self.checkpoint.low_water_mark if self.checkpoint else -1
        progress.live, progress.damaged = len(partition.live), len(partition.damaged)

    # -- snapshots

    def _load_record(self, received: Received) -> None:
        try:
            if received.value is None:
                self._apply_tombstone(received.key or b"", received.header(snapshots.CLAIM))
            else:
                self._load(self.codec.decode(received), len(received.value))
        except ContractError as error:
            # What a record of ours said is in an older one or in the history, and a gap in either is found.
            logger.error(
                "skipping an unreadable record at offset %d of snapshots in partition %d: %s",
                *(received.offset, received.partition, error),
            )

    def _load(self, record: Any, size: int) -> None:
        """Raises `ContractError` for a record that is damaged."""
        match record:
            case PartitionCheckpoint() as found:
                self._accept_checkpoint(found)
            case SessionSnapshot() as found:
                self._load_session(found, size)
            case EndedSessions() as found:
                self.partition.ended.load(found)
            case QuarantinedSession() as found:
                self.partition.quarantine(_session_of(found), found.quarantined_at)

    def _apply_tombstone(self, key: bytes, claim: bytes | None) -> None:
        """Raises `ContractError` for a claim that is none."""
        if key.startswith(ended.KEY):
            self._apply_ended_tombstone(key)
        else:
            name = key.decode("utf-8", "replace")
            self.partition.drop(name)
            self.partition.damaged.pop(name, None)
            self.partition.quarantined.discard(name)
            if claim is None:
                return
            if _CLAIM.fullmatch(claim) is None:
                raise ContractError(f"nobody of ours wrote the claim {claim[:100]!r} of session {name[:100]}")
            self.replay.claims[name] = bytes.fromhex(claim.decode())

    def _apply_ended_tombstone(self, key: bytes) -> None:
        try:
            self.partition.ended.unload(ended.number_in(key))
        except ValueError:
            logger.error("skipping a deletion of snapshots that nobody wrote for this reason: %r", key[:100])

    def _load_session(self, found: SessionSnapshot, size: int) -> None:
        self.progress.snapshots += 1
        name = _session_of(found)
        self.partition.damaged.pop(name, None)
        try:
            session = snapshots.read(found, self.values)
        except ContractError as error:
            self.partition.drop(name)
            self.partition.damaged[name] = Damaged(found.sequence, str(error))
        else:
            self.partition.put(LiveSession(session, found.sessions_offset, 0, 0, size))

    def _accept_checkpoint(self, found: PartitionCheckpoint) -> None:
        if found.partition != self.partition.number:
            raise ContractError(f"it is the checkpoint of partition {found.partition}")
        if found.partition_count not in (0, self.partition_count):
            raise other_count(found.partition, found.partition_count, self.partition_count)
        if found.state_version > STATE_VERSION:
            raise ConfigurationError(
                f"partition {found.partition} was written with state version {found.state_version}, this "
                f"orchestrator reads up to {STATE_VERSION}: run a version at least as new"
            )
        self.checkpoint = found

    # -- history

    def _replay_event(self, received: Received) -> None:
        self.progress.events += 1
        try:
            event = self.codec.decode(received)
            if not isinstance(event, SessionEvent):
                raise ContractError(f"{type(event).__name__} does not belong in the sessions topic")
            _session_of(event)
        except ContractError as error:
            self._reject_event(received, error)
        else:
            self.replay.add(event, received.offset, len(received.value or b""))

    def _reject_event(self, received: Received, error: ContractError) -> None:
        """An event of an unknown type was written by a newer version; any other failure is damage."""
        name = self.codec.type_of(received)
        place = f"offset {received.offset} of sessions in partition {received.partition}"
        if name is not None and name.startswith("agents.events.") and entry_named(name) is None:
            raise ConfigurationError(
                f"this orchestrator does not know {name}, the type of the event at {place}: run a version at "
                "least as new as the one that wrote it"
            ) from error
        correlation_id = canonical_uuid(received.key_text)
        if correlation_id is None:
            logger.error("skipping an unreadable event without a session id at %s: %s", place, error)
        else:
            self.replay.damage(correlation_id, f"the event at {place} is unreadable: {error}")

    # -- positions

    def _last_batch(self) -> int:
        """Not below that of the checkpoint: where somebody else has committed, transactions are numbered on from it."""
        numbers = [batch_number(metadata) for _, metadata in self.committed.values()]
        return max(*numbers, self.checkpoint.batch if self.checkpoint else 0, 0)

    def _positions(self) -> dict[Topic, int]:
        """The next offset of each input topic."""
        number = self.partition.number
        places: list[Position] = [(topic, number) for topic in INPUT_TOPICS]
        logs: dict[Position, tuple[int, int]] = {}
        for topic, _ in places:
            logs |= self._log_of(topic)
        return first_positions(number, self.committed, self.checkpoint, logs)

    def _log_of(self, topic: Topic) -> dict[Position, tuple[int, int]]:
        """Where its log begins and ends; nothing for one without a leader, whose committed offset is taken as it is."""
        is_committed = topic in self.committed
        deadline = Deadline.after(min(_LOG_S, self.deadline.remaining())) if is_committed else self.deadline
        try:
            return self.consumer.watermarks([(topic, self.partition.number)], deadline, read_uncommitted=True)
        except UnavailableError:
            if not is_committed:
                raise
            return {}

    def _read(self, place: Position, start: int, end: int, handle: Callable[[Received], None]) -> None:
        read(self.consumer, self.codec, place, (start, end), handle, self.deadline)


def _session_of(record: SessionSnapshot | QuarantinedSession | SessionEvent) -> str:
    """Raises `ContractError` for a session whose id is none that a session has."""
    name: str = record.correlation_id
    if canonical_uuid(name) != name:
        raise ContractError(f"{name[:100]!r} is not the id of a session")
    return name

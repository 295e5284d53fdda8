"""Snapshots of sessions and checkpoints of partitions: what restoring starts from."""

from dataclasses import replace
from typing import Final

import msgspec

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint, SessionSnapshot
from orchestrator.runtime.live import LiveSession, Partition
from orchestrator.saga import STATE_VERSION, Session

SMALLEST: Final = 64 * 1024
"""Bytes of events a session must have before it is worth a snapshot."""

SOURCE: Final = "/orchestrator"


def wanted(live: LiveSession) -> bool:
    """Whether the events since the last snapshot outweigh it: so all snapshots of a session together cost
    no more than a constant factor of its events."""
    return live.bytes_since_snapshot > max(SMALLEST, live.snapshot_bytes)


def snapshot(codec: Codec, partition: Partition, session: Session, end: int) -> Outgoing:
    """The session's state, for the snapshots topic. `end` lies at or before the event that comes next."""
    record = SessionSnapshot(
        correlation_id=session.correlation_id,
        sequence=session.sequence,
        state_version=STATE_VERSION,
        state=msgspec.msgpack.encode(session),
        sessions_offset=end,
    )
    return replace(codec.encode(record, source=SOURCE), partition=partition.number)


def tombstone(partition: Partition, correlation_id: str) -> Outgoing:
    """Lets compaction forget an ended session's snapshot."""
    return Outgoing(Topic.SNAPSHOTS, correlation_id.encode(), None, (), partition.number)


def checkpoint(codec: Codec, partition: Partition, partition_count: int, batch: int, mark: int) -> Outgoing:
    record = PartitionCheckpoint(
        partition=partition.number,
        partition_count=partition_count,
        low_water_mark=mark,
        batch=batch,
        state_version=STATE_VERSION,
    )
    return codec.encode(record, source=SOURCE)


def read(record: SessionSnapshot) -> Session:
    """The state in a snapshot. Raises `ContractError` for a form that is newer than ours, or damaged."""
    if record.state_version > STATE_VERSION:
        raise ContractError(
            f"the snapshot of session {record.correlation_id} has state version {record.state_version}, "
            f"this orchestrator knows up to {STATE_VERSION}: run a version at least as new"
        )
    try:
        return msgspec.msgpack.decode(record.state, type=Session)
    except msgspec.DecodeError as error:
        raise ContractError(f"the snapshot of session {record.correlation_id} is damaged: {error}") from error

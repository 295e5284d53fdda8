"""The records of the snapshots topic: session snapshots, quarantined sessions, partition checkpoints. A restore starts
from them."""

from typing import Final

import msgspec

from orchestrator.bus.ports import Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import LiveSession, Partition, claim_of_session
from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint, QuarantinedSession, SessionSnapshot
from orchestrator.messages.values import value_of
from orchestrator.saga import STATE_VERSION, Session

MIN_EVENT_BYTES: Final = 64 * 1024
"""Bytes of events that a session must have before it is worth a snapshot."""
MAX_INLINE_BYTES: Final = 512 * 1024
"""Bytes of state above which the state goes into the value store."""
MEDIA_TYPE: Final = "application/msgpack"


def is_due(live: LiveSession) -> bool:
    """Whether the events since the last snapshot outweigh it. All snapshots of a session together then cost no more
    than a constant factor of its events."""
    return live.bytes_since_snapshot > max(MIN_EVENT_BYTES, live.snapshot_bytes)


def snapshot(encoder: Encoder, partition: int, session: Session, end: int) -> Outgoing:
    """The record of a session's state. `end` is the offset of its next event in the sessions topic, or a lower one."""
    state = value_of(msgspec.msgpack.encode(session), MEDIA_TYPE)
    record = SessionSnapshot(
        correlation_id=session.correlation_id,
        sequence=session.sequence,
        state_version=STATE_VERSION,
        state=encoder.writes.stored(state) if state.size > MAX_INLINE_BYTES else state,
        sessions_offset=end,
    )
    return encoder.encode(record, partition)


CLAIM: Final = "agents_claim"
"""Header of an ended session's tombstone, in hexadecimal digits: its claim is in no event that a restore reads."""


def tombstone(partition: int, key: bytes) -> Outgoing:
    """Deletes a key by compaction: an expired chunk of ids."""
    return Outgoing(Topic.SNAPSHOTS, key, None, (), partition)


def session_tombstone(partition: int, session: Session) -> Outgoing:
    """Deletes the snapshot of an ended session by compaction."""
    claim = claim_of_session(session)
    headers = ((CLAIM, claim.hex().encode()),) if claim else ()
    return Outgoing(Topic.SNAPSHOTS, session.correlation_id.encode(), None, headers, partition)


def quarantine(encoder: Encoder, partition: int, record: QuarantinedSession) -> Outgoing:
    return encoder.encode(record, partition)


def checkpoint(
    encoder: Encoder, partition: Partition, partition_count: int, batch: int, mark: int
) -> Outgoing:
    """The record of a checkpoint. `partition` is as it was before the transaction that writes it."""
    record = PartitionCheckpoint(
        partition=partition.number,
        partition_count=partition_count,
        low_water_mark=mark,
        batch=batch,
        state_version=STATE_VERSION,
        positions={topic.value: offset for topic, offset in partition.positions.items()},
    )
    return encoder.encode(record, partition.number)


def read(record: SessionSnapshot, values: MessageValues) -> Session:
    """The state in a snapshot. Raises `ConfigurationError` if its state version is newer than ours, `ContractError`
    if it is damaged."""
    if record.state_version > STATE_VERSION:
        raise ConfigurationError(
            f"the snapshot of session {record.correlation_id} has state version {record.state_version}, "
            f"this orchestrator reads up to {STATE_VERSION}: run a version at least as new"
        )
    state = values.fetched(record.state).inline or b""
    try:
        session = msgspec.msgpack.decode(state, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"the snapshot of session {record.correlation_id} is damaged: {error}") from error
    if session.correlation_id != record.correlation_id:
        raise ContractError(
            f"the snapshot of session {record.correlation_id} has the state of session {session.correlation_id}"
        )
    return session

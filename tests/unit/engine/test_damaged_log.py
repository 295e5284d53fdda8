"""A record of the log that nobody of ours wrote, or that was damaged: it is left out, and the partition is restored."""

from typing import Any

import msgspec
import pytest

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.recovery.restore import restore
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import Partition
from orchestrator.messages.base import Message, Record
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import TaskCompleted
from orchestrator.messages.types import EndedSessions, QuarantinedSession, SessionSnapshot
from orchestrator.messages.values import value_of
from orchestrator.testing.scenario import SESSION, given, plan_created, task
from tests.support.memory_log import MemoryLog
from tests.support.samples import sample_of

CODEC = Codec(CatalogueIds())
VALUES = MessageValues()
ENCODER = Encoder(CODEC, VALUES, "/orchestrator/0")
STATE = given(task(), plan_created("a")).state


def restored(*records: Outgoing) -> Partition:
    log: Any = MemoryLog()
    log.commit((*records, snapshots.snapshot(ENCODER, 0, STATE, 0)))
    partition, _ = restore(0, 1, log, {}, CODEC, VALUES, Deadline.after(3_600.0))
    return partition


def other_state() -> SessionSnapshot:
    """A snapshot of a session that holds the state of another."""
    state = msgspec.structs.replace(STATE, correlation_id=SESSION[::-1])
    return sample_of(
        SessionSnapshot,
        correlation_id=SESSION,
        state_version=1,
        state=value_of(msgspec.msgpack.encode(state)),
    )


@pytest.mark.parametrize(
    "record",
    [
        EndedSessions(hour=1, chunk=1, ids=b"x" * 17, claims=b""),
        EndedSessions(hour=1, chunk=1, ids=b"x" * 32, claims=b"x" * 16),
        sample_of(QuarantinedSession, correlation_id="no id"),
        sample_of(SessionSnapshot, correlation_id="no id", state_version=1, state=value_of(b"")),
        sample_of(TaskCompleted, correlation_id="no id"),
        other_state(),
    ],
    ids=["ids", "claims", "quarantine", "snapshot", "event", "state"],
)
def test_a_damaged_record_ends_no_restore(record: Message | Record) -> None:
    partition = restored(CODEC.encode(record, source="/strange/0"))

    assert list(partition.live) == [SESSION]
    assert list(partition.ended) == []


@pytest.mark.parametrize("claim", [b"", b"zz", b"\xff", b"0" * 31])
def test_a_claim_that_nobody_wrote_is_left_out(claim: bytes) -> None:
    tombstone = Outgoing(Topic.SNAPSHOTS, SESSION.encode(), None, ((snapshots.CLAIM, claim),), 0)

    assert list(restored(tombstone).live) == [SESSION]

"""What a restore makes of committed offsets: whoever may read with the group may commit anything for it."""

from typing import Any

import pytest

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Commit, Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.offset_metadata import metadata_of
from orchestrator.engine.recovery.restore import restore
from orchestrator.engine.state.partition import INPUT_TOPICS, Partition
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint
from orchestrator.saga import STATE_VERSION
from tests.support.memory_log import MemoryLog

CODEC = Codec(CatalogueIds())
BATCH = 7
"""The transaction of the checkpoint."""
OURS = metadata_of(BATCH + 1, 1, 0)
END, LOW = 31, 10
"""Of each input topic."""


def checkpoint(position: int = 20) -> PartitionCheckpoint:
    return PartitionCheckpoint(
        partition=0,
        partition_count=1,
        low_water_mark=0,
        batch=BATCH,
        state_version=STATE_VERSION,
        positions={topic.value: position for topic in INPUT_TOPICS},
    )


def restored(commit: Commit, found: PartitionCheckpoint | None, *topics: Topic) -> Partition:
    """A partition for which `commit` was made, in `topics` or in all; the other topics have a commit of ours."""
    log: Any = MemoryLog()
    for topic in INPUT_TOPICS:
        log.commit(Outgoing(topic, b"k", b"junk", (), 0) for _ in range(END - 1))
        log.delete(topic, LOW)
    if found is not None:
        log.commit([CODEC.encode(found, source="/orchestrator/0")])
    committed = dict.fromkeys(INPUT_TOPICS, (25, OURS)) | dict.fromkeys(topics or INPUT_TOPICS, commit)
    partition, _ = restore(0, 1, log, committed, CODEC, MessageValues(), Deadline.after(3_600.0))
    return partition


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        (LOW, None),
        (15, None),
        (25, None),
        (END, None),
        (20, checkpoint(20)),
        (25, checkpoint(20)),
        (END, checkpoint(20)),
    ],
)
def test_an_offset_of_ours_in_the_log_is_taken_as_it_is(
    offset: int, found: PartitionCheckpoint | None, caplog: pytest.LogCaptureFixture
) -> None:
    partition = restored((offset, OURS), found)

    assert partition.positions == dict.fromkeys(INPUT_TOPICS, offset)
    assert (partition.batch, partition.dirty) == (BATCH + 1, False)
    assert not caplog.records


@pytest.mark.parametrize("metadata", [OURS, ""])
@pytest.mark.parametrize(
    ("offset", "found", "place"),
    [
        (END + 1_000, checkpoint(20), 20),
        (END + 1_000, checkpoint(END + 1), LOW),
        (END + 1_000, checkpoint(LOW - 1), LOW),
        (END + 1_000, None, LOW),
        (LOW - 1, checkpoint(20), 20),
        (LOW - 1, checkpoint(0), LOW),
        (LOW - 1, None, LOW),
    ],
)
@pytest.mark.parametrize("topic", INPUT_TOPICS)
def test_an_offset_outside_the_log_gives_way_to_that_of_the_checkpoint(
    topic: Topic,
    offset: int,
    found: PartitionCheckpoint | None,
    place: int,
    metadata: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    partition = restored((offset, metadata), found, topic)

    assert partition.positions == dict.fromkeys(INPUT_TOPICS, 25) | {topic: place}
    assert partition.dirty
    assert f"the committed offset {offset} of {topic}/0 is not in the log" in caplog.text
    assert f"Reading goes on at {place}" in caplog.text


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ("9/4/0", "there were 4 partitions"),
        (f"{BATCH - 1}/1/99999999", f"transaction {BATCH - 1}"),
        ("", "names no transaction"),
        ("x", "names no transaction"),
    ],
)
def test_metadata_that_the_checkpoint_contradicts_is_of_somebody_else(
    metadata: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    partition = restored((23, metadata), checkpoint())

    assert partition.positions == dict.fromkeys(INPUT_TOPICS, 23)
    assert (partition.batch, partition.dirty) == (BATCH, True)
    for topic in INPUT_TOPICS:
        assert f"offset 23 of {topic}/0" in caplog.text
    assert why in caplog.text
    assert "the last checkpoint, at 20" in caplog.text


def test_an_offset_before_the_checkpoint_is_of_somebody_else(caplog: pytest.LogCaptureFixture) -> None:
    partition = restored((12, OURS), checkpoint(20), Topic.TASKS)

    assert (partition.positions[Topic.TASKS], partition.dirty) == (12, True)
    assert "offset 12 of tasks/0: it is before that of the last checkpoint" in caplog.text


def test_the_offset_of_a_log_without_a_leader_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    watermarks = MemoryLog.watermarks

    def without_leader(self: MemoryLog, positions: Any, *args: Any, **options: Any) -> Any:
        if (Topic.TASKS, 0) in positions:
            raise UnavailableError("the partitions have no leader")
        return watermarks(self, positions, *args, **options)

    monkeypatch.setattr(MemoryLog, "watermarks", without_leader)

    assert restored((25, OURS), checkpoint()).positions == dict.fromkeys(INPUT_TOPICS, 25)


def test_another_count_beside_ours_is_of_somebody_else() -> None:
    assert restored((23, "9/4/0"), None, Topic.TASKS).positions[Topic.TASKS] == 23


def test_another_count_that_nothing_contradicts_is_refused_and_says_how_to_go_on() -> None:
    with pytest.raises(ConfigurationError, match="had 4 partitions") as refused:
        restored((23, "9/4/0"), None)

    assert "--reset-offsets --to-current" in str(refused.value)
    assert "Recreate" not in str(refused.value)


def test_an_end_of_history_that_may_be_ours_is_refused_and_says_how_to_go_on() -> None:
    with pytest.raises(ConfigurationError, match="brokers lost its last records") as refused:
        restored((23, "9/1/99999999"), checkpoint())

    assert "--reset-offsets --to-current" in str(refused.value)

"""What the group has committed for a partition, compared with its checkpoint, which only orchestrators write, and with
its logs. Whoever may read with the group may commit anything for it."""

import logging
from collections.abc import Mapping
from typing import Final

from orchestrator.bus.ports import Commit, Position
from orchestrator.engine.offset_metadata import batch_number, partition_count_in
from orchestrator.engine.recovery.partition_counts import other_count
from orchestrator.engine.state.partition import INPUT_TOPICS
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint

logger: Final = logging.getLogger(__name__)


def believed(
    number: int,
    committed: Mapping[Topic, Commit],
    checkpoint: PartitionCheckpoint | None,
    partition_count: int,
) -> dict[Topic, Commit]:
    """The commits of a partition, without metadata that no orchestrator has written.

    Raises `ConfigurationError` for another partition count that neither the checkpoint nor another commit contradicts.
    """
    counts = {topic: partition_count_in(metadata) for topic, (_, metadata) in committed.items()}
    is_known = checkpoint is not None or partition_count in counts.values()
    found = {}
    for topic, (offset, metadata) in committed.items():
        if counts[topic] not in (0, partition_count) and not is_known:
            raise other_count(number, counts[topic], partition_count)
        problem = _problem(topic, (offset, metadata), checkpoint, partition_count)
        if problem:
            logger.error(
                "somebody else than an orchestrator has committed offset %d of %s/%d: %s. Reading goes on there if it "
                "is in the log%s",
                *(offset, topic, number, problem, _between(topic, checkpoint)),
            )
        found[topic] = (offset, "" if problem else metadata)
    return found


def _problem(
    topic: Topic, commit: Commit, checkpoint: PartitionCheckpoint | None, partition_count: int
) -> str:
    """Why no orchestrator wrote it; empty if one may have. Each commits a partition's checkpoint and its offsets
    together, with numbers of transactions that grow."""
    offset, metadata = commit
    count, batch = partition_count_in(metadata), batch_number(metadata)
    if count == 0:
        return "it names no transaction of an orchestrator"
    if count != partition_count:
        return f"it says that there were {count} partitions, and there were {partition_count}"
    if checkpoint is not None and batch < checkpoint.batch:
        return f"it says transaction {batch}, and transaction {checkpoint.batch} wrote the last checkpoint"
    if checkpoint is not None and offset < checkpoint.positions.get(topic.value, 0):
        return "it is before that of the last checkpoint"
    return ""


def _between(topic: Topic, checkpoint: PartitionCheckpoint | None) -> str:
    """What may be lost by it, as the end of a sentence."""
    offset = None if checkpoint is None else checkpoint.positions.get(topic.value)
    if offset is None:
        return "; records before it that were not read yet are skipped"
    return f"; records between it and the last checkpoint, at {offset}, may be skipped, or are read again"


def first_positions(
    number: int,
    committed: Mapping[Topic, Commit],
    checkpoint: PartitionCheckpoint | None,
    logs: Mapping[Position, tuple[int, int]],
) -> dict[Topic, int]:
    """The next offset of each input topic: the committed one, if it is in the log. `logs` says where each begins and
    ends; a committed offset of another is taken as it is.

    Otherwise it is that of the checkpoint, and if that is outside, too, the beginning of the log: inputs that were
    handled before are read again and have no effect, and none is lost of a topic that was recreated.
    """
    return {
        topic: _first_position((topic, number), committed.get(topic), checkpoint, logs[topic, number])
        if (topic, number) in logs
        else committed[topic][0]
        for topic in INPUT_TOPICS
    }


def _first_position(
    position: Position, commit: Commit | None, checkpoint: PartitionCheckpoint | None, log: tuple[int, int]
) -> int:
    low, end = log
    offset = None if commit is None else commit[0]
    if offset is not None and low <= offset <= end:
        return offset
    known = None if checkpoint is None else checkpoint.positions.get(position[0].value)
    place, name = low, "the beginning of the log"
    if known is not None and low <= known <= end:
        place, name = known, "where the last checkpoint was"
    if offset is not None:
        logger.error(
            "the committed offset %d of %s/%d is not in the log, which begins at %d and ends at %d: somebody else than "
            "an orchestrator has committed it, or the topic was recreated or lost records. Reading goes on at %d, %s",
            *(offset, *position, low, end, place, name),
        )
    return place

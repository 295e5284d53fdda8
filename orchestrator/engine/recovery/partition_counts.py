"""Checks the partition count of the session topics: the same for all, and the same as when they were written."""

import logging
from collections.abc import Collection, Mapping
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Bus, Commit, Consumer, Position
from orchestrator.engine.offset_metadata import partition_count_in
from orchestrator.engine.recovery.reading import last_checkpoint
from orchestrator.engine.state.partition import INPUT_TOPICS
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

SESSION_TOPICS: Final = (*INPUT_TOPICS, Topic.SESSIONS, Topic.SNAPSHOTS)

FORGET: Final = (
    "stop all orchestrators, and have their group forget what was said with its offsets, which stay as they are: "
    "`kafka-consumer-groups --bootstrap-server SERVERS --group PREFIXorchestrator --all-topics --reset-offsets "
    "--to-current --execute`"
)
"""How to remove the metadata of commits."""

_COMMITTED_S: Final = 5.0
"""How long to wait for the committed offsets of other slots."""


def common_count(bus: Bus) -> int:
    """The partition count of the session topics. Raises `ConfigurationError` if they differ."""
    counts = {topic: bus.partitions(topic) for topic in SESSION_TOPICS}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        raise ConfigurationError(
            f"the session topics must have one partition count, but they have: {found}. All records of a session "
            "need the same partition number: recreate the topics with `orchestrator topics apply`"
        )
    return counts[Topic.EVENTS]


def refuse_other_count(
    group: Consumer, reader: Consumer, codec: Codec, partition_count: int, deadline: Deadline
) -> frozenset[int]:
    """Raises `ConfigurationError` if slots have committed offsets under another count, and nothing was written under
    this one. Checks all partitions, because partitions that were added later have no commit of their own to contradict
    the count.

    The count never changes: where another commit or a checkpoint has this one, commits with another are somebody
    else's. Returns their partitions. `reader` is outside any group session.
    """
    places: list[Position] = [(Topic.EVENTS, number) for number in range(partition_count)]
    try:
        committed = group.committed(places, Deadline.after(_COMMITTED_S))
    except UnavailableError as error:
        logger.warning("cannot compare the partition count with that of other slots: %s", error)
        return frozenset()
    counts = {number: partition_count_in(metadata) for (_, number), (_, metadata) in committed.items()}
    others = {number: count for number, count in counts.items() if count not in (0, partition_count)}
    found = (last_checkpoint(reader, codec, number, deadline) for number in others)
    is_known = partition_count in counts.values() or any(
        checkpoint is not None and checkpoint.partition_count == partition_count for checkpoint in found
    )
    if others and not is_known:
        raise other_count(*next(iter(others.items())), partition_count)
    for number, count in others.items():
        logger.error(
            "the committed offset of %s/%d says that there were %d partitions, others and checkpoints say %d: somebody "
            "else than an orchestrator has committed it; it may be wrong, too",
            *(Topic.EVENTS, number, count, partition_count),
        )
    return frozenset(others)


def commits_of(
    number: int, committed: Mapping[Position, Commit], foreign: Collection[int], partition_count: int
) -> dict[Topic, Commit]:
    """The commits of a partition, by topic: without metadata of another count if somebody else has made them."""
    own = {topic: commit for (topic, found), commit in committed.items() if found == number}
    if number not in foreign:
        return own
    return {
        topic: (offset, metadata if partition_count_in(metadata) == partition_count else "")
        for topic, (offset, metadata) in own.items()
    }


def other_count(partition: int, before: int, now: int) -> ConfigurationError:
    """The error of a partition that was written under another partition count."""
    return ConfigurationError(
        f"the session topics had {before} partitions when partition {partition} was written, and have {now} now: "
        "sessions would be in other partitions than their history. Restore the topics with the old count from a "
        f"backup, or use a new prefix. If there never were {before}, somebody else has committed this: {FORGET}"
    )

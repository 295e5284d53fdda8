"""Checks the partition count of the session topics: the same for all, and the same as when they were written."""

import logging
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Bus, Consumer, Position
from orchestrator.engine.offset_metadata import partition_count_in
from orchestrator.engine.state.partition import INPUT_TOPICS
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

SESSION_TOPICS: Final = (*INPUT_TOPICS, Topic.SESSIONS, Topic.SNAPSHOTS)

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


def refuse_other_count(group: Consumer, partition_count: int) -> None:
    """Raises `ConfigurationError` if any slot has committed offsets under another count. Checks all partitions, because
    partitions that were added later have no commit of their own to contradict the count."""
    places: list[Position] = [(Topic.EVENTS, number) for number in range(partition_count)]
    try:
        committed = group.committed(places, Deadline.after(_COMMITTED_S))
    except UnavailableError as error:
        logger.warning("cannot compare the partition count with that of other slots: %s", error)
        return
    for (_, number), (_, metadata) in committed.items():
        count = partition_count_in(metadata)
        if count not in (0, partition_count):
            raise other_count(number, count, partition_count)


def other_count(partition: int, before: int, now: int) -> ConfigurationError:
    """The error of a partition that was written under another partition count."""
    return ConfigurationError(
        f"the session topics had {before} partitions when partition {partition} was written, and have {now} "
        "now: sessions would be in other partitions than their history. Recreate the topics with the old count, "
        "or let all sessions end and use a new prefix"
    )

"""How many partitions the session topics have: all of them the same number, and the one they were written with."""

import logging
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Bus, Consumer, Position
from orchestrator.engine.recovery.restore import other_count, partition_count_in
from orchestrator.engine.state.partition import INPUT_TOPICS
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

SESSION_TOPICS: Final = (*INPUT_TOPICS, Topic.SESSIONS, Topic.SNAPSHOTS)

_OTHERS_S: Final = 5.0
"""How long to wait for what other slots have committed."""


def common_count(bus: Bus) -> int:
    """Partitions of the session topics, which must be the same for all."""
    counts = {topic: bus.partitions(topic) for topic in SESSION_TOPICS}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        raise ConfigurationError(
            f"the session topics must have one partition count, and have: {found}. A session's messages "
            "meet by partition number: make the topics anew with `orchestrator topics apply`"
        )
    return counts[Topic.EVENTS]


def refuse_other_count(group: Consumer, partition_count: int) -> None:
    """Raises `ConfigurationError` if a slot has committed with another count. Looks at all partitions: those that
    were added later have nothing that speaks against them."""
    places: list[Position] = [(Topic.EVENTS, number) for number in range(partition_count)]
    try:
        committed = group.committed(places, Deadline.after(_OTHERS_S))
    except UnavailableError as error:
        logger.warning("partition counts of other slots are not compared: %s", error)
        return
    for (_, number), (_, metadata) in committed.items():
        count = partition_count_in(metadata)
        if count not in (0, partition_count):
            raise other_count(number, count, partition_count)

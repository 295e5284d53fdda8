"""Our positions, offsets and commits as the client's `TopicPartition`, and back."""

from collections.abc import Iterable, Mapping

from confluent_kafka import OFFSET_INVALID, TopicPartition

from orchestrator.bus.ports import Commit, Position
from orchestrator.bus.topic_names import TopicNames


class Partitions:
    """Translates for one installation, whose topics have its prefix."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names

    def at(self, offsets: Mapping[Position, int]) -> list[TopicPartition]:
        return [
            TopicPartition(self._names.full(topic), partition, offset)
            for (topic, partition), offset in offsets.items()
        ]

    def without_offsets(self, positions: Iterable[Position]) -> list[TopicPartition]:
        return self.at(dict.fromkeys(positions, OFFSET_INVALID))

    def commits(self, commits: Mapping[Position, Commit]) -> list[TopicPartition]:
        return [
            TopicPartition(self._names.full(topic), partition, offset, metadata)
            for (topic, partition), (offset, metadata) in commits.items()
        ]

    def position(self, partition: TopicPartition) -> Position:
        return self._names.topic(partition.topic), partition.partition

    def positions(self, partitions: Iterable[TopicPartition]) -> tuple[Position, ...]:
        return tuple(map(self.position, partitions))

"""What a consumer is set to, and the offsets that it commits, as the client takes them."""

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import TopicPartition

from orchestrator.bus.ports import Commit, Position, Reading
from orchestrator.bus.topics import TopicNames

# A consumer that is left unpolled keeps little; the back-off of librdkafka, a second after the queue was full,
# would then make it wait for the next lot.
_SMALL_QUEUE: Final = {
    "queued.min.messages": 500,
    "queued.max.messages.kbytes": 4096,
    "fetch.queue.backoff.ms": 20,
}
# That a partition has ended is told by the next fetch that finds nothing, which a broker holds back for 500 ms.
_TO_THE_END: Final = {"fetch.wait.max.ms": 10}


def consumer_config(reading: Reading) -> dict[str, Any]:
    """What a consumer is set to, whatever else the installation says."""
    return {
        "group.id": reading.group,
        "auto.offset.reset": reading.start.value,
        "partition.assignment.strategy": reading.assignor.value,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        **({"group.instance.id": reading.instance} if reading.instance else {}),
        **(_SMALL_QUEUE if reading.small_queue else {}),
        **(_TO_THE_END if reading.to_the_end else {}),
    }


def commits(names: TopicNames, offsets: Mapping[Position, Commit]) -> list[TopicPartition]:
    """Offsets and metadata as the client takes them."""
    return [
        TopicPartition(names.full(topic), partition, offset, metadata)
        for (topic, partition), (offset, metadata) in offsets.items()
    ]

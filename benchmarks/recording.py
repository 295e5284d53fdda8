"""Records real sessions: the inputs of the orchestrator, and the outputs of each input."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Producer

from benchmarks.cluster import SERVICES, Cluster, Platform
from benchmarks.load import Load
from orchestrator.bus.headers import CAUSATION_ID, TYPE
from orchestrator.bus.partitioning import PARTITIONER
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.saga.replies import REPLIES

WRITTEN: Final = (Topic.SESSIONS, Topic.PLAN_COMMANDS, Topic.EVALUATE_COMMANDS)
_REPLIES: Final = frozenset(avro_name(kind).encode() for kind in REPLIES)
CLIENT_RETRY_MS: Final = 100
"""librdkafka's own default."""
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Recording:
    """Inputs, and outputs by the id of the input that caused them, in the order of each partition."""

    tasks: Sequence[Outgoing]
    replies: Sequence[Outgoing]
    outputs: dict[bytes, list[Outgoing]]

    @property
    def inputs(self) -> int:
        return len(self.tasks) + len(self.replies)

    @property
    def written(self) -> int:
        return sum(map(len, self.outputs.values()))


def record(cluster: Cluster, sessions: int) -> Recording:
    """Runs this many sessions through all services, and records their messages."""
    platform = cluster.installation()
    load = Load(platform)
    with platform.processes(*SERVICES):
        load.submit(load.tasks(sessions))
        load.await_completed(sessions)
    load.close()
    return recorded(platform)


def recorded(platform: Platform) -> Recording:
    """The recording of what is in an installation's topics."""
    outputs: dict[bytes, list[Outgoing]] = defaultdict(list)
    for topic in WRITTEN:
        for received in _read(platform, topic):
            outputs[received.header(CAUSATION_ID) or b""].append(_as_outgoing(received))
    replies = [_as_outgoing(one) for one in _read(platform, Topic.EVENTS) if one.header(TYPE) in _REPLIES]
    return Recording([_as_outgoing(one) for one in _read(platform, Topic.TASKS)], replies, dict(outputs))


class Bulk:
    """Records in an open transaction: `release` makes all of them visible at the same moment."""

    def __init__(self, platform: Platform, records: Sequence[Outgoing]) -> None:
        names = TopicNames(platform.prefix)
        self._producer = transactional(platform, "load")
        self._producer.begin_transaction()
        for one in records:
            self._producer.produce(
                names.full(one.topic),
                one.value,
                one.key,
                partition=-1 if one.partition is None else one.partition,
                headers=list(one.headers),
            )
            self._producer.poll(0)
        self._producer.flush(_TIMEOUT_S)

    def release(self) -> None:
        self._producer.commit_transaction(_TIMEOUT_S)


def transactional(platform: Platform, name: str, retry_ms: int = CLIENT_RETRY_MS) -> Producer:
    """A plain producer, ready for its first transaction. `retry_ms` is its retry backoff: it has to retry while the
    broker writes the markers of its last transaction."""
    producer = Producer(
        {
            "bootstrap.servers": platform.address.bootstrap_servers,
            "transactional.id": f"{platform.prefix}{name}",
            "linger.ms": 10,
            "retry.backoff.ms": retry_ms,
            "delivery.report.only.error": True,
            "partitioner": PARTITIONER,
        }
    )
    producer.init_transactions(_TIMEOUT_S)
    return producer


def _read(platform: Platform, topic: Topic) -> list[Received]:
    bus = platform.wiring.bus
    return list(read_to_end(bus, all_partitions(bus, topic), _TIMEOUT_S))


def _as_outgoing(received: Received) -> Outgoing:
    headers = tuple((name, value or b"") for name, value in received.headers)
    return Outgoing(received.topic, received.key or b"", received.value, headers, received.partition)

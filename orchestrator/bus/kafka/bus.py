"""A cluster by confluent-kafka."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.consumer import KafkaConsumer
from orchestrator.bus.kafka.logs import kafka_logger
from orchestrator.bus.kafka.producer import KafkaProducer, KafkaTransactionalProducer
from orchestrator.bus.kafka.stats import observed
from orchestrator.bus.kafka.watermarks import Watermarks
from orchestrator.bus.ports import Assignor, Reading, Start
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topics import TopicNames, partition_counts
from orchestrator.errors import ConfigurationError
from orchestrator.messages.catalogue import Topic
from orchestrator.telemetry.metrics import ProcessMetrics

C = TypeVar("C")

METADATA_TIMEOUT_S: Final = 10.0

_READING: Final[Mapping[str, Any]] = {
    # A killed process's partitions are read by others after this time; the client's default is 45 s.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
}
"""What consumers are set to unless the installation says otherwise."""
_WORKING: Final[Mapping[str, Any]] = {
    # A worker's client that is left behind in a call that does not return goes on sending heartbeats, and keeps its
    # partitions for so long. Workers wait for nothing for longer than 30 s; an orchestrator restores for minutes.
    "max.poll.interval.ms": 120_000,
}
"""What workers' consumers are set to, too."""


class KafkaBus:
    """Makes the clients of one cluster, all with the same settings.

    Names of groups, members and transactions get the prefix of the topics: two installations do not meet.
    """

    def __init__(
        self,
        settings: BusSettings,
        reading: Mapping[str, Any] | None = None,
        metrics: ProcessMetrics | None = None,
    ) -> None:
        """`reading`: settings of librdkafka for consumers alone. `metrics` get lag and errors."""
        self._settings = settings
        self._reading = {**_READING, **(reading or {})}
        self._metrics = metrics
        self._counts: dict[str, int] = {}
        self._watermarks = self._looking("read_committed"), self._looking("read_uncommitted")

    def consumer(self, reading: Reading) -> KafkaConsumer:
        prefix = self._settings.topic_prefix
        instance = prefix + reading.instance if reading.instance else ""
        own = replace(reading, group=prefix + reading.group, instance=instance)

        def config(fixed: Mapping[str, Any]) -> dict[str, Any]:
            worker = _WORKING if reading.assignor is Assignor.COOPERATIVE else {}
            made = self._config(fixed, {**self._reading, **worker})
            # Who starts at the beginning commits by itself, and tells how far its commits are behind; or wants no
            # lag. Who reads to the end is not polled afterwards, and would keep its statistics for ever.
            tells = reading.start is Start.ERROR and not reading.to_the_end
            return made if tells else {**made, "statistics.interval.ms": 0}

        return _made(lambda: KafkaConsumer(own, self._settings, self._watermarks, config))

    def producer(self) -> KafkaProducer:
        return _made(lambda: KafkaProducer(self._settings, self._config))

    def transactional_producer(self, transactional_id: str) -> KafkaTransactionalProducer:
        own = self._settings.topic_prefix + transactional_id
        return _made(lambda: KafkaTransactionalProducer(self._settings, self._config, own))

    def partitions(self, topic: Topic) -> int:
        name = TopicNames(self._settings.topic_prefix).full(topic)
        if name not in self._counts:
            self._counts = partition_counts(self.admin, self._settings, Deadline.after(METADATA_TIMEOUT_S))
        if name not in self._counts:
            raise ConfigurationError(
                f"the cluster at {self._settings.bootstrap_servers} has no topic {name}: run `orchestrator topics "
                "apply`, or set topic_prefix to the installation's"
            )
        return self._counts[name]

    @cached_property
    def admin(self) -> AdminClient:
        """For topics; may be shared between threads."""
        return _made(lambda: AdminClient(self._config({})))

    def _looking(self, level: str) -> Watermarks:
        names = TopicNames(self._settings.topic_prefix)
        fixed = {"group.id": f"{self._settings.topic_prefix}watermarks", "isolation.level": level}

        def make() -> Consumer:
            # Polled only when it is asked for something, it would keep its statistics till then.
            return _made(lambda: Consumer({**self._config(fixed), "statistics.interval.ms": 0}))

        return Watermarks(make, names, self._settings.bootstrap_servers)

    def _config(
        self, fixed: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Any]:
        """Settings of one client: its defaults, the installation's over them, and what is fixed over these."""
        config = {**defaults, **self._settings.kafka_config(), **fixed, "logger": kafka_logger()}
        if self._metrics is None:
            return config
        return observed(config, self._metrics, self._settings.topic_prefix)


def _made(make: Callable[[], C]) -> C:
    try:
        return make()
    except KafkaException as error:
        raise ConfigurationError(f"librdkafka does not take the settings: {error.args[0].str()}") from error

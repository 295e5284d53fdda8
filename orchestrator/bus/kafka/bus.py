"""A cluster by confluent-kafka."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka import config
from orchestrator.bus.kafka.consumer import KafkaConsumer
from orchestrator.bus.kafka.logs import kafka_logger
from orchestrator.bus.kafka.producer import KafkaProducer, KafkaTransactionalProducer
from orchestrator.bus.kafka.refusals import admin_client
from orchestrator.bus.kafka.rejections import text_of
from orchestrator.bus.kafka.stats import observed
from orchestrator.bus.kafka.topic_ids import ids_by_name
from orchestrator.bus.kafka.topics import cluster_id, partition_counts
from orchestrator.bus.kafka.watermarks import Watermarks
from orchestrator.bus.ports import Position, Reading
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import ConfigurationError
from orchestrator.messages.catalogue import Topic
from orchestrator.telemetry.metrics import ProcessMetrics

C = TypeVar("C")

METADATA_TIMEOUT_S: Final = 10.0
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_NO_STATISTICS: Final = {"statistics.interval.ms": 0}


class KafkaBus:
    """Makes the clients of one cluster, all with the same settings.

    Names of groups, members and transactions get the prefix of the topics, so two installations never meet.
    """

    def __init__(
        self,
        settings: BusSettings,
        consumer_defaults: Mapping[str, Any] | None = None,
        metrics: ProcessMetrics | None = None,
    ) -> None:
        """`consumer_defaults`: settings of librdkafka for consumers alone. `metrics` get lag and errors."""
        self._settings = settings
        self._consumer_defaults = consumer_defaults or _NONE
        self._metrics = metrics
        self._counts: dict[str, int] = {}
        self._watermarks = self._watermarks_of("read_committed"), self._watermarks_of("read_uncommitted")

    def consumer(self, reading: Reading) -> KafkaConsumer:
        prefix = self._settings.topic_prefix
        instance = prefix + reading.instance if reading.instance else ""
        own = replace(reading, group=prefix + reading.group, instance=instance)
        defaults = {**config.consumer_defaults(own), **self._consumer_defaults}
        settings = self._config(config.consumer_config(own), defaults)
        if not config.reports_lag(own):
            settings |= _NO_STATISTICS
        return _made(lambda: KafkaConsumer(own, self._settings, self._watermarks, settings))

    def producer(self) -> KafkaProducer:
        settings = self._config(config.producer_config(), config.producer_defaults())
        return _made(lambda: KafkaProducer(self._settings, settings))

    def transactional_producer(self, transactional_id: str) -> KafkaTransactionalProducer:
        own = self._settings.topic_prefix + transactional_id
        settings = self._config(config.producer_config(own), config.producer_defaults(own))
        return _made(lambda: KafkaTransactionalProducer(self._settings, settings))

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        committed, written = self._watermarks
        return (written if read_uncommitted else committed).of(positions, deadline)

    @cached_property
    def installation(self) -> str:
        cluster = cluster_id(self.admin, self._settings, Deadline.after(METADATA_TIMEOUT_S))
        return f"{cluster}/{self._settings.topic_prefix}"

    def partitions(self, topic: Topic) -> int:
        name = TopicNames(self._settings.topic_prefix).full(topic)
        if name not in self._counts:
            self._counts = partition_counts(self.admin, self._settings, Deadline.after(METADATA_TIMEOUT_S))
        if name not in self._counts:
            raise ConfigurationError(
                f"topic {name} not found in the cluster at {self._settings.bootstrap_servers}: run `orchestrator "
                "topics apply`, or set topic_prefix to the installation's. A cluster with rights shows a topic only to "
                "users that may describe it: see `orchestrator acls plan`"
            )
        return self._counts[name]

    def topic_ids(self, topics: Collection[Topic]) -> dict[Topic, str]:
        full = TopicNames(self._settings.topic_prefix).full
        deadline = Deadline.after(METADATA_TIMEOUT_S)
        found = ids_by_name(self.admin, self._settings, [full(topic) for topic in topics], deadline)
        return {topic: found[full(topic)] for topic in topics if full(topic) in found}

    @cached_property
    def admin(self) -> AdminClient:
        """For topics; may be shared between threads."""
        return _made(lambda: admin_client(self._config(_NONE)))

    def _watermarks_of(self, isolation_level: str) -> Watermarks:
        names = TopicNames(self._settings.topic_prefix)
        fixed = {
            "group.id": f"{self._settings.topic_prefix}watermarks",
            "isolation.level": isolation_level,
        }

        def make() -> Consumer:
            # It is polled only when it is used, and would keep its statistics until then.
            return _made(lambda: Consumer({**self._config(fixed), **_NO_STATISTICS}))

        return Watermarks(make, names, self._settings.bootstrap_servers)

    def _config(self, fixed: Mapping[str, Any], defaults: Mapping[str, Any] = _NONE) -> dict[str, Any]:
        """Settings of one client: its defaults, the installation's over them, and what is fixed over these."""
        settings = {**defaults, **self._settings.kafka_config(), **fixed, "logger": kafka_logger()}
        if self._metrics is None:
            return settings
        return observed(settings, self._metrics, self._settings.topic_prefix)


def _made(make: Callable[[], C]) -> C:
    try:
        return make()
    except KafkaException as error:
        raise ConfigurationError(f"librdkafka rejects the settings: {text_of(error)}") from error

"""A cluster by confluent-kafka."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka_consumer import KafkaConsumer
from orchestrator.bus.kafka_producer import KafkaProducer, KafkaTransactionalProducer
from orchestrator.bus.ports import Reading
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topics import TopicNames, partition_counts
from orchestrator.errors import ConfigurationError
from orchestrator.messages.catalogue import Topic

C = TypeVar("C")

METADATA_TIMEOUT_S: Final = 10.0


class KafkaBus:
    """Makes the clients of one cluster, all with the same settings.

    Names of groups, members and transactions get the prefix of the topics: two installations do not meet.
    """

    def __init__(self, settings: BusSettings, reading: Mapping[str, Any] | None = None) -> None:
        """`reading`: settings of librdkafka for consumers alone."""
        self._settings = settings
        self._reading = dict(reading or {})
        self._counts: dict[str, int] = {}

    def consumer(self, reading: Reading) -> KafkaConsumer:
        prefix = self._settings.topic_prefix
        instance = prefix + reading.instance if reading.instance else ""
        config = {**self._reading, **self._client_config()}
        own = replace(reading, group=prefix + reading.group, instance=instance)
        return _made(lambda: KafkaConsumer(own, self._settings, lambda: self.admin, config))

    def producer(self) -> KafkaProducer:
        return _made(lambda: KafkaProducer(self._settings, self._client_config()))

    def transactional_producer(self, transactional_id: str) -> KafkaTransactionalProducer:
        own = self._settings.topic_prefix + transactional_id
        return _made(lambda: KafkaTransactionalProducer(self._settings, self._client_config(), own))

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
        """For topics and watermarks; may be shared between threads."""
        return _made(lambda: AdminClient(self._client_config()))

    def _client_config(self) -> dict[str, Any]:
        return {**self._settings.kafka_config(), "logger": logging.getLogger("orchestrator.kafka")}


def _made(make: Callable[[], C]) -> C:
    try:
        return make()
    except KafkaException as error:
        raise ConfigurationError(f"librdkafka does not take the settings: {error.args[0].str()}") from error

"""Ids of topics: a topic that is deleted and created again has another one under the same name."""

from collections.abc import Collection

from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.admin_results import failed_with, result_of
from orchestrator.bus.settings import BusSettings


def ids_by_name(
    admin: AdminClient, settings: BusSettings, names: Collection[str], deadline: Deadline
) -> dict[str, str]:
    """The id of each of these topics that exists, by full name.

    Raises the error of any topic of which brokers do not say whether it exists.
    """
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=deadline.remaining())
    return {
        name: str(result_of(future, "looking up topics", settings, deadline, admin).topic_id)
        for name, future in futures.items()
        if not failed_with(future, KafkaError.UNKNOWN_TOPIC_OR_PART, deadline)
    }

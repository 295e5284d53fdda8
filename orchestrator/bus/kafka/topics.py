"""Topics of an installation: compares the cluster with the catalogue, and applies the difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export these
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.admin_results import failed_with, result_of
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.refusals import explained
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import ConfigurationError
from orchestrator.messages.catalogue import TOPICS, Topic, TopicSpec

_BROKERS_DEFAULT: Final = -1
_LISTING: Final = "listing topics"


@dataclass(frozen=True)
class ConfigChange:
    """A setting of a topic that differs from the catalogue."""

    name: str
    now: str | None
    wanted: str


@dataclass(frozen=True)
class TopicPlan:
    """How one topic differs from the catalogue. `partitions_now` is None for a topic that does not exist."""

    topic: Topic
    name: str
    partitions: int
    partitions_now: int | None
    changes: tuple[ConfigChange, ...] = ()

    @property
    def missing(self) -> bool:
        return self.partitions_now is None

    @property
    def refusal(self) -> str:
        """Why this cannot be applied; empty where it can."""
        if self.partitions_now in (None, self.partitions):
            return ""
        return (
            f"{self.name} has {self.partitions_now} partitions, the settings say {self.partitions}. A session "
            f"is in the partition of its id, so a topic's number of partitions never changes: set partitions to "
            f"{self.partitions_now}, or choose a new topic_prefix and drain this one"
        )

    @property
    def in_order(self) -> bool:
        return not (self.missing or self.changes or self.refusal)


def plan(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> tuple[TopicPlan, ...]:
    """Compares every topic of the catalogue with the cluster. Changes nothing.

    Raises `UnavailableError` naming the address if the cluster does not respond by the deadline.
    """
    names = TopicNames(settings.topic_prefix)
    counts = partition_counts(admin, settings, deadline)
    existing = [names.full(spec.topic) for spec in TOPICS if names.full(spec.topic) in counts]
    configs = _configs(admin, existing, settings, deadline)
    return tuple(
        TopicPlan(
            topic=spec.topic,
            name=(name := names.full(spec.topic)),
            partitions=spec.partitions or settings.partitions,
            partitions_now=counts.get(name),
            changes=_changes(spec, configs[name]) if name in configs else (),
        )
        for spec in TOPICS
    )


def apply(plans: Iterable[TopicPlan], admin: AdminClient, settings: BusSettings, deadline: Deadline) -> None:
    """Creates what is missing and alters what differs; applying it again does nothing.

    Raises `ConfigurationError` that names every refusal before anything is changed.
    """
    plans = tuple(plans)
    if refusals := [each.refusal for each in plans if each.refusal]:
        raise ConfigurationError(*refusals)
    if missing := [each for each in plans if each.missing]:
        _create(admin, missing, settings, deadline)
    if changed := [each for each in plans if each.changes]:
        _alter(admin, changed, settings, deadline)


def cluster_id(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> str:
    """The id that the cluster got when its storage was formatted."""
    return _metadata(admin, settings, deadline).cluster_id or ""


def first_broker(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> int:
    """The id of one of the brokers."""
    return min(_metadata(admin, settings, deadline).brokers, default=0)


def partition_counts(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> dict[str, int]:
    """Partitions of every topic in the cluster, by full name."""
    found = _metadata(admin, settings, deadline)
    return {name: len(topic.partitions) for name, topic in found.topics.items() if topic.error is None}


def _metadata(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=deadline.remaining())
    except KafkaException as error:
        servers = settings.bootstrap_servers
        failure = translated(error_of(error), _LISTING, servers)
        raise explained(admin, failure, _LISTING, servers) from error


def wanted_config(spec: TopicSpec) -> dict[str, str]:
    """The settings that the catalogue gives a topic."""
    retention = {} if spec.retention_ms is None else {"retention.ms": str(spec.retention_ms)}
    return {"cleanup.policy": "delete", **retention, **spec.config}


def _changes(spec: TopicSpec, now: Mapping[str, str | None]) -> tuple[ConfigChange, ...]:
    return tuple(
        ConfigChange(name, now.get(name), wanted)
        for name, wanted in sorted(wanted_config(spec).items())
        if now.get(name) != wanted
    )


def _configs(
    admin: AdminClient, names: Iterable[str], settings: BusSettings, deadline: Deadline
) -> dict[str, dict[str, str | None]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    futures = admin.describe_configs(resources, request_timeout=deadline.remaining())
    return {
        resource.name: {
            name: entry.value
            for name, entry in result_of(
                future, "reading the settings of topics", settings, deadline, admin
            ).items()
        }
        for resource, future in futures.items()
    }


def _create(
    admin: AdminClient, plans: Iterable[TopicPlan], settings: BusSettings, deadline: Deadline
) -> None:
    specs = {spec.topic: spec for spec in TOPICS}
    new = [
        NewTopic(
            each.name,
            num_partitions=each.partitions,
            replication_factor=settings.replication_factor or _BROKERS_DEFAULT,
            config=wanted_config(specs[each.topic]),
        )
        for each in plans
    ]
    for name, created in admin.create_topics(new, operation_timeout=deadline.remaining()).items():
        # Another process may apply at the same time: the next plan shows whether the topic is as we want it.
        if not failed_with(created, KafkaError.TOPIC_ALREADY_EXISTS, deadline):
            result_of(created, f"creating the topic {name}", settings, deadline, admin)


def _alter(admin: AdminClient, plans: Iterable[TopicPlan], settings: BusSettings, deadline: Deadline) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            each.name,
            incremental_configs=[
                ConfigEntry(change.name, change.wanted, incremental_operation=AlterConfigOpType.SET)
                for change in each.changes
            ],
        )
        for each in plans
    ]
    for altered in admin.incremental_alter_configs(resources, request_timeout=deadline.remaining()).values():
        result_of(altered, "changing the settings of topics", settings, deadline, admin)

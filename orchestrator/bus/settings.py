"""Settings of a cluster and its registry."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from orchestrator.bus.addresses import check_brokers, check_registries
from orchestrator.bus.partitioning import PARTITIONER
from orchestrator.messages.texts import short

_OURS: Final = {
    "bootstrap.servers": "set bootstrap_servers",
    "metadata.broker.list": "set bootstrap_servers",
    "group.id": "each service has its own",
    "group.instance.id": "each slot has its own",
    "group.protocol": "fencing relies on the classic protocol",
    "transactional.id": "each slot has its own",
    "partition.assignment.strategy": "each loop sets its own",
    "partitioner": f"all services place sessions by {PARTITIONER}",
    "enable.auto.commit": "offsets are committed with the outputs of their records",
    "enable.auto.offset.store": "offsets are committed with the outputs of their records",
    "enable.idempotence": "it is always on",
    "enable.partition.eof": "restoring relies on it",
    "auto.offset.reset": "each loop sets its own",
    "isolation.level": "consumers only read committed records",
}
_NO_TEXT: Final = re.compile(r".*_cb|on_\w+|logger|default\.topic\.config")
"""What confluent-kafka takes beside librdkafka's settings: functions and objects."""
_REGISTRY_DEFAULTS: Final[dict[str, Any]] = {"timeout": 10.0, "max.retries": 2, "retries.wait.ms": 200}
_NUMBERS: Final = frozenset(
    {
        "timeout",
        "cache.capacity",
        "cache.latest.ttl.sec",
        "max.retries",
        "retries.wait.ms",
        "retries.max.wait.ms",
    }
)
_PREFIX: Final = re.compile(r"[a-zA-Z0-9._-]{0,200}")

Secrets = Mapping[str, SecretStr]


class BusSettings(BaseModel):
    """A cluster, its registry, and how topics are made.

    `kafka` and `schema_registry` are passed to the clients unchanged, under the clients' own names, such as
    `sasl.mechanism`. All of their values count as secrets and are never shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Addresses of brokers, `host:port`, separated by commas."""
    schema_registry_url: str = "http://localhost:8081"
    """Address of a Confluent-compatible registry; several, separated by commas, are tried in turn."""
    schema_subjects: tuple[str, ...] = ()
    """Subjects besides the platform's own whose schemas tasks and control may be written with, such as
    `agents.tasks-value`, separated by commas."""
    topic_prefix: str = "agents."
    """What the names of all topics begin with."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Partitions of each topic for which the catalogue sets no number."""
    replication_factor: Annotated[int, Field(ge=1)] | None = None
    """Copies of each partition; unset, the brokers' `default.replication.factor` applies."""
    kafka: Secrets = {}
    """Settings of librdkafka, passed through to every client."""
    schema_registry: Secrets = {}
    """Settings of the registry's client, such as `basic.auth.user.info`."""

    @field_validator("topic_prefix")
    @classmethod
    def _valid_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(
                "the name of a topic may only have letters, digits, dots, dashes and underscores"
            )
        return prefix

    @field_validator("bootstrap_servers")
    @classmethod
    def _valid_servers(cls, servers: str) -> str:
        check_brokers(servers)
        return servers

    @field_validator("schema_registry_url")
    @classmethod
    def _valid_url(cls, url: str) -> str:
        check_registries(url)
        return url

    @field_validator("kafka")
    @classmethod
    def _passed_through(cls, kafka: Secrets) -> Secrets:
        problems = [f"{name} cannot be set: {_OURS[name]}" for name in kafka if name in _OURS]
        problems += [f"{name} cannot be set: it is no text" for name in kafka if _NO_TEXT.fullmatch(name)]
        problems += [
            f"{short(name)} has a NUL character"
            for name, value in kafka.items()
            if "\0" in name + value.get_secret_value()
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return kafka

    @field_validator("schema_registry")
    @classmethod
    def _registry_passed_through(cls, registry: Secrets) -> Secrets:
        if "url" in registry:
            raise ValueError("url cannot be set: set schema_registry_url")
        for name in _NUMBERS & registry.keys():
            if not registry[name].get_secret_value().replace(".", "", 1).isdecimal():
                raise ValueError(f"{name} must be a number")
        return registry

    def kafka_config(self) -> dict[str, Any]:
        """librdkafka's settings of any client."""
        revealed = {name: secret.get_secret_value() for name, secret in self.kafka.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **revealed}

    def registry_config(self) -> dict[str, Any]:
        """Settings of the registry's client. It requires numbers as numbers; an environment holds text."""
        revealed = {
            name: float(secret.get_secret_value()) if name in _NUMBERS else secret.get_secret_value()
            for name, secret in self.schema_registry.items()
        }
        return {**_REGISTRY_DEFAULTS, **revealed, "url": self.schema_registry_url}


def passed_through(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """A client's settings in an environment, by its own names: with the prefix `ORCHESTRATOR_KAFKA_`,
    `ORCHESTRATOR_KAFKA_SASL_MECHANISM` is `sasl.mechanism`."""
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith(prefix)
    }

"""Registering the catalogue's schemas."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from orchestrator.bus.avro.registry_errors import is_missing, registry_error
from orchestrator.bus.avro.subjects import schema_of, subject_of
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError
from orchestrator.messages.catalogue import CATALOGUE, Entry

COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Every version reads the messages of every other one: history is replayed by all later versions."""

_CONFLICT: Final = 409


class Outcome(StrEnum):
    """The result for one schema."""

    REGISTERED = "registered"
    THERE_ALREADY = "there already"


@dataclass(frozen=True)
class Applied:
    """One subject and the id of its schema."""

    subject: str
    schema_id: int
    outcome: Outcome


def apply(client: SchemaRegistryClient, settings: BusSettings) -> tuple[Applied, ...]:
    """Registers every schema of the catalogue; idempotent.

    1. Sets the registry's global compatibility if it is another, because some registries enforce none until it is
       set. That takes an administrator's right in most registries, and once.
    2. Looks up every subject, and registers this version's schema if the subject lacks it.

    Raises `ConfigurationError` that names every incompatible subject; compatible ones are registered anyway.
    Raises `UnavailableError` with the registry's address if it does not respond.
    """
    # 1. Compatibility.
    try:
        if client.get_compatibility() != COMPATIBILITY:
            client.set_compatibility(level=COMPATIBILITY)
    except Exception as error:
        raise registry_error(error, settings, f"setting the compatibility {COMPATIBILITY}") from error
    # 2. Subjects.
    applied: list[Applied] = []
    refused: list[str] = []
    for entry in CATALOGUE:
        try:
            applied.append(_applied(client, entry, settings))
        except ConfigurationError as error:
            refused += error.problems
    if refused:
        raise ConfigurationError(*refused)
    return tuple(applied)


def _applied(client: SchemaRegistryClient, entry: Entry, settings: BusSettings) -> Applied:
    subject = subject_of(entry, settings.topic_prefix)
    found = registered_id(client, entry, settings)
    if found is not None:
        return Applied(subject, found, Outcome.THERE_ALREADY)
    try:
        return Applied(subject, client.register_schema(subject, schema_of(entry)), Outcome.REGISTERED)
    except Exception as error:
        if isinstance(error, SchemaRegistryError) and error.http_status_code == _CONFLICT:
            raise ConfigurationError(
                f"{subject}: the schema of {entry.name} is not compatible with an earlier version of it: "
                f"{error.error_message}"
            ) from error
        refused = registry_error(error, settings, "registering schemas")
        raise type(refused)(f"{subject}: {refused}") from error


def registered_id(client: SchemaRegistryClient, entry: Entry, settings: BusSettings) -> int | None:
    """The id of this version's schema in its subject; None if it is not registered."""
    try:
        found = client.lookup_schema(subject_of(entry, settings.topic_prefix), schema_of(entry))
    except Exception as error:
        if is_missing(error):
            return None
        raise registry_error(error, settings) from error
    return found.schema_id

"""Comparing the catalogue with a registry."""

from dataclasses import dataclass

from confluent_kafka.schema_registry import SchemaRegistryClient

from orchestrator.bus.avro.registry_errors import is_missing, registry_error
from orchestrator.bus.avro.subjects import subject_of
from orchestrator.bus.settings import BusSettings
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.schemas.apply import COMPATIBILITY, registered_id


@dataclass(frozen=True)
class Finding:
    """One difference from what this version needs. `subject` is empty for the registry as a whole."""

    subject: str
    problem: str


def check(client: SchemaRegistryClient, settings: BusSettings) -> tuple[Finding, ...]:
    """Every difference between the catalogue and the registry. Changes nothing.

    Raises `UnavailableError` with the registry's address if it does not respond.
    """
    try:
        level = client.get_compatibility()
    except Exception as error:
        raise registry_error(error, settings) from error
    findings = []
    if level != COMPATIBILITY:
        findings.append(Finding("", f"the global compatibility is {level}, not {COMPATIBILITY}"))
    for entry in CATALOGUE:
        if registered_id(client, entry, settings) is None:
            subject = subject_of(entry, settings.topic_prefix)
            exists = _has_subject(client, subject, settings)
            problem = "the subject lacks this version's schema" if exists else "the subject does not exist"
            findings.append(Finding(subject, problem))
    return tuple(findings)


def _has_subject(client: SchemaRegistryClient, subject: str, settings: BusSettings) -> bool:
    """Asks for the subject by name: registries list at most a thousand subjects."""
    try:
        return bool(client.get_versions(subject))
    except Exception as error:
        if is_missing(error):
            return False
        raise registry_error(error, settings) from error

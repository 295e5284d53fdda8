"""Comparing the catalogue with a registry."""

from dataclasses import dataclass

from confluent_kafka.schema_registry import SchemaRegistryClient

from orchestrator.bus.avro.registry import is_missing, registry_error, subject_of
from orchestrator.bus.settings import BusSettings
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.schemas.apply import COMPATIBILITY, registered_id


@dataclass(frozen=True)
class Finding:
    """One thing that is not as this version needs it. `subject` is empty for the registry as a whole."""

    subject: str
    problem: str


def check(client: SchemaRegistryClient, settings: BusSettings) -> tuple[Finding, ...]:
    """Every difference between the catalogue and the registry; nothing is changed.

    Raises `UnavailableError` with the registry's address if it does not answer.
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
            there = _is_there(client, subject, settings)
            problem = (
                "no version of the subject is this version's schema" if there else "the subject is not there"
            )
            findings.append(Finding(subject, problem))
    return tuple(findings)


def _is_there(client: SchemaRegistryClient, subject: str, settings: BusSettings) -> bool:
    """Asked by its name: registries list no more than so many subjects, a thousand or less."""
    try:
        return bool(client.get_versions(subject))
    except Exception as error:
        if is_missing(error):
            return False
        raise registry_error(error, settings) from error

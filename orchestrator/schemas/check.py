"""Comparing the catalogue with a registry."""

from dataclasses import dataclass

from confluent_kafka.schema_registry import SchemaRegistryClient

from orchestrator.bus.registry import registry_error, subject_of
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
        subjects = set(client.get_subjects())
    except Exception as error:
        raise registry_error(error, settings) from error
    findings = []
    if level != COMPATIBILITY:
        findings.append(Finding("", f"the global compatibility is {level}, not {COMPATIBILITY}"))
    for entry in CATALOGUE:
        subject = subject_of(entry, settings.topic_prefix)
        if subject not in subjects:
            findings.append(Finding(subject, "the subject is not there"))
        elif registered_id(client, entry, settings) is None:
            findings.append(Finding(subject, "no version of the subject is this version's schema"))
    return tuple(findings)

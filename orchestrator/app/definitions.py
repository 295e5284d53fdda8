"""Reads definitions of agents and playbooks from files, and publishes them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.app.wiring import Wiring
from orchestrator.bus.deadline import Deadline
from orchestrator.clock import unix_micros
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.base import Definition
from orchestrator.messages.types import AgentProfile
from orchestrator.sdk.definitions import agent_defined, playbook_defined
from orchestrator.sdk.documents import Documents, PlaybookDocument, parse_documents

SOURCE = "/agents-apply"
_SEND_TIMEOUT_S = 15.0


def read_definitions(folder: Path) -> Documents:
    """The agents and playbooks in the YAML files below a folder; hidden files and folders are ignored.

    Raises `ConfigurationError` with every mistake in every file, each as `FILE:LINE: path: what is wrong`.
    """
    files = sorted(path for path in folder.rglob("*") if _is_definition(path.relative_to(folder)))
    if not files:
        raise ConfigurationError(
            f"no YAML file in {folder}: agents and playbooks are defined in .yaml and .yml files"
        )
    problems: list[str] = []
    playbooks: list[PlaybookDocument] = []
    profiles: list[AgentProfile] = []
    defined_in: dict[str, Path] = {}
    for path in files:
        try:
            found = parse_documents(path.read_text(encoding="utf-8"), str(path))
        except ConfigurationError as error:
            problems += error.problems
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: cannot be read: {error}")
        else:
            problems += _defined_elsewhere(found, path, defined_in)
            playbooks += found.playbooks
            profiles += found.profiles
    if problems:
        raise ConfigurationError(*problems)
    return Documents(tuple(playbooks), tuple(profiles))


def _is_definition(path: Path) -> bool:
    """A mounted ConfigMap has each file twice: in a hidden folder, and as a link into that folder."""
    return path.suffix in {".yaml", ".yml"} and not any(part.startswith(".") for part in path.parts)


def _defined_elsewhere(found: Documents, path: Path, defined_in: dict[str, Path]) -> Iterator[str]:
    """Names that an earlier file defines too. Adds those of this file to `defined_in`."""
    names = [
        *(f"playbook {document.playbook.playbook}" for document in found.playbooks),
        *(f"agent {profile.name}" for profile in found.profiles),
    ]
    for name in names:
        if (earlier := defined_in.setdefault(name, path)) != path:
            yield f"{path}: {name} is already defined in {earlier}; define it once"


def definitions_of(documents: Documents, now: int) -> tuple[Definition, ...]:
    """The definition messages of documents. `now` is Unix time in microseconds."""
    return (
        *(
            playbook_defined(found.playbook.playbook, str(found.playbook.version), found.source, now)
            for found in documents.playbooks
        ),
        *(agent_defined(profile, now) for profile in documents.profiles),
    )


def publish_definitions(wiring: Wiring, documents: Documents) -> None:
    """Returns when Kafka has acknowledged all definitions. Raises `UnavailableError` if it does not in time."""
    _send(wiring, definitions_of(documents, unix_micros()))


def _send(wiring: Wiring, definitions: Iterable[Definition]) -> None:
    producer = wiring.bus.producer()
    try:
        for definition in definitions:
            producer.send(wiring.codec.encode(definition, source=SOURCE))
        if producer.flush(Deadline.after(_SEND_TIMEOUT_S)):
            raise UnavailableError(
                f"Kafka at {wiring.settings.bootstrap_servers} did not acknowledge the definitions in time: check "
                "that it is reachable"
            )
    finally:
        producer.close()

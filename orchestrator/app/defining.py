"""Telling the installation which agents and playbooks exist."""

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
_SEND_S = 15.0


def read_folder(folder: Path) -> Documents:
    """The agents and playbooks of a folder's YAML files, hidden files and folders left out.

    Raises `ConfigurationError` with every mistake of every file, each as `FILE:LINE: path: what is wrong`.
    """
    files = sorted(path for path in folder.rglob("*") if _is_ours(path.relative_to(folder)))
    if not files:
        raise ConfigurationError(
            f"there is no YAML file in {folder}: agents and playbooks are defined in those"
        )
    problems: list[str] = []
    playbooks: list[PlaybookDocument] = []
    profiles: list[AgentProfile] = []
    places: dict[str, Path] = {}
    for path in files:
        try:
            found = parse_documents(path.read_text(encoding="utf-8"), str(path))
        except ConfigurationError as error:
            problems += error.problems
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: cannot be read: {error}")
        else:
            problems += _defined_elsewhere(found, path, places)
            playbooks += found.playbooks
            profiles += found.profiles
    if problems:
        raise ConfigurationError(*problems)
    return Documents(tuple(playbooks), tuple(profiles))


def _is_ours(path: Path) -> bool:
    """A mounted ConfigMap has each of its files twice: in a hidden folder, and as a link into that one."""
    return path.suffix in {".yaml", ".yml"} and not any(part.startswith(".") for part in path.parts)


def _defined_elsewhere(found: Documents, path: Path, places: dict[str, Path]) -> Iterator[str]:
    """Names that an earlier file has too. Notes those of this file in `places`."""
    names = [
        *(f"playbook {document.playbook.playbook}" for document in found.playbooks),
        *(f"agent {profile.name}" for profile in found.profiles),
    ]
    for name in names:
        if (earlier := places.setdefault(name, path)) != path:
            yield f"{path}: {name} is defined in {earlier} already: the later one would replace it"


def definitions_of(documents: Documents, now: int) -> tuple[Definition, ...]:
    """The messages that say so. `now` is Unix time in microseconds."""
    return (
        *(
            playbook_defined(found.playbook.playbook, str(found.playbook.version), found.source, now)
            for found in documents.playbooks
        ),
        *(agent_defined(profile, now) for profile in documents.profiles),
    )


def define(wiring: Wiring, documents: Documents) -> None:
    """Writes the definitions; returns when Kafka has them. Raises `UnavailableError` if it does not answer."""
    _send(wiring, definitions_of(documents, unix_micros()))


def _send(wiring: Wiring, definitions: Iterable[Definition]) -> None:
    producer = wiring.bus.producer()
    try:
        for definition in definitions:
            producer.send(wiring.codec.encode(definition, source=SOURCE))
        if producer.flush(Deadline.after(_SEND_S)):
            raise UnavailableError(
                f"Kafka at {wiring.settings.bootstrap_servers} did not take the definitions in time: is it running?"
            )
    finally:
        producer.close()

"""Files that define agents and playbooks: reading a folder of them, and publishing what they define."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator.bus.deadline import Deadline
from orchestrator.client.connection import Connection
from orchestrator.clock import unix_micros
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.base import Definition
from orchestrator.messages.types import AgentProfile
from orchestrator.sdk.definitions import agent_defined, playbook_defined
from orchestrator.sdk.documents import Documents, PlaybookDocument, parse_documents
from orchestrator.sdk.plugins import Plugins
from orchestrator.sdk.roles.planner import Planner
from orchestrator.sdk.text_files import FileRefusedError, read_text_file

SOURCE = "/agents-apply"
_SEND_TIMEOUT_S = 15.0


def read_definition_files(folder: Path, plugins: Plugins | None = None) -> Documents:
    """The agents and playbooks in the YAML files below a folder; hidden files and folders are ignored.

    With `plugins`, planners check the playbooks too: their expressions, for example.

    Raises `ConfigurationError` with every mistake in every file, each as `FILE:LINE: path: what is wrong`.
    """
    planners = plugins.by_name(Planner).values() if plugins else ()
    checks = [one.check for one in planners if one.check is not None]
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
            found = parse_documents(read_text_file(path), str(path))
        except ConfigurationError as error:
            problems += error.problems
        except FileRefusedError as error:
            problems.append(f"{path}: it {error}")
        else:
            problems += _defined_elsewhere(found, path, defined_in)
            problems += _refused_by(checks, found, path)
            playbooks += found.playbooks
            profiles += found.profiles
    if problems:
        raise ConfigurationError(*problems)
    return Documents(tuple(playbooks), tuple(profiles))


def _is_definition(path: Path) -> bool:
    """A mounted ConfigMap has each file twice: in a hidden folder, and as a link into that folder."""
    return path.suffix in {".yaml", ".yml"} and not any(part.startswith(".") for part in path.parts)


def _refused_by(checks: Sequence[Callable[[str], object]], found: Documents, path: Path) -> Iterator[str]:
    """What planners say about the playbooks of a file."""
    for playbook in found.playbooks:
        for check in checks:
            try:
                check(playbook.source)
            except ConfigurationError as error:
                yield from (f"{path}: playbook {playbook.playbook.playbook}: {one}" for one in error.problems)


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


def publish_definitions(connection: Connection, documents: Documents) -> None:
    """Returns when Kafka has acknowledged all definitions. Raises `UnavailableError` if it does not in time."""
    _send(connection, definitions_of(documents, unix_micros()))


def _send(connection: Connection, definitions: Iterable[Definition]) -> None:
    producer = connection.bus.producer()
    try:
        for definition in definitions:
            producer.send(connection.codec.encode(definition, source=SOURCE))
        if producer.flush(Deadline.after(_SEND_TIMEOUT_S)):
            raise UnavailableError(
                "Kafka did not acknowledge the definitions in time: check that it is reachable, and apply them again"
            )
    finally:
        producer.close()

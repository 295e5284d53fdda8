"""YAML files with playbooks and agents, one or more documents per file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydantic

from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import AgentProfile
from orchestrator.sdk.grammar import Grammar, mistakes
from orchestrator.sdk.playbooks import Playbook
from orchestrator.sdk.profiles import Agent
from orchestrator.sdk.yaml_documents import YamlDocument, read_documents


@dataclass(frozen=True)
class PlaybookDocument:
    """A playbook and its own YAML, as its author wrote it."""

    playbook: Playbook
    source: str


@dataclass(frozen=True)
class Documents:
    """What a file defines."""

    playbooks: tuple[PlaybookDocument, ...] = ()
    profiles: tuple[AgentProfile, ...] = ()


def parse_documents(text: str, file: str = "text") -> Documents:
    """The playbooks and agents of a YAML text.

    Raises `ConfigurationError` with every problem, each as `FILE:LINE: path: what is wrong`. Planners
    check the CEL expressions (`match` and `success`).
    """
    found, problems = read_documents(text, file)
    playbooks: list[PlaybookDocument] = []
    profiles: list[AgentProfile] = []
    seen: set[tuple[str, str]] = set()
    for document in found:
        parsed = _parsed(document, problems)
        match parsed:
            case Playbook():
                playbooks.append(PlaybookDocument(parsed, document.text))
                problems += _twice(document, "playbook", parsed.playbook, seen)
            case Agent():
                profiles += _profile(parsed, document, problems)
                problems += _twice(document, "agent", parsed.agent, seen)
    if problems:
        raise ConfigurationError(*problems)
    return Documents(tuple(playbooks), tuple(profiles))


def parse_playbooks(text: str, file: str = "text") -> list[Playbook]:
    """The playbooks of a YAML text. Raises `ConfigurationError` as `parse_documents` does."""
    return [document.playbook for document in parse_documents(text, file).playbooks]


def _parsed(document: YamlDocument, problems: list[str]) -> Playbook | Agent | None:
    content = document.content
    kinds: dict[str, type[Playbook] | type[Agent]] = {"playbook": Playbook, "agent": Agent}
    if not isinstance(content, dict):
        problems.append(document.problem((), "a document must be a mapping with the key playbook or agent"))
        return None
    # An agent may have the key playbook too, so agent comes first.
    kind = next((kinds[key] for key in ("agent", "playbook") if key in content), None)
    if kind is None:
        problems.append(
            document.problem((), "add playbook: NAME or agent: NAME, to say what this document defines")
        )
        return None
    found = _checked(kind, document)
    if isinstance(found, list):
        problems += found
        return None
    return found


def _profile(agent: Agent, document: YamlDocument, problems: list[str]) -> list[AgentProfile]:
    path = Path(document.file)
    try:
        return [agent.profile(path.parent if path.is_file() else None)]
    except ConfigurationError as error:
        problems += [document.problem(("agent",), problem) for problem in error.problems]
        return []


def _checked(kind: type[Playbook] | type[Agent], document: YamlDocument) -> Playbook | Agent | list[str]:
    try:
        parsed = kind.model_validate(document.content)
    except pydantic.ValidationError as error:
        return [document.problem(path, text) for path, text in _each(kind, error)]
    if isinstance(parsed, Playbook):
        wrong = [document.problem(path, text) for path, text in parsed.mistakes()]
        if wrong:
            return wrong
    return parsed


def _each(
    kind: type[Grammar], error: pydantic.ValidationError
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for path, text in mistakes(kind, error):
        # pydantic reports a key that does not match its pattern one level below the key.
        yield tuple(part for part in path if part != "[key]"), text


def _twice(document: YamlDocument, kind: str, name: str, seen: set[tuple[str, str]]) -> list[str]:
    if (kind, name) in seen:
        return [
            document.problem((kind,), f"{kind} {name} is defined twice in this file: rename or remove one")
        ]
    seen.add((kind, name))
    return []

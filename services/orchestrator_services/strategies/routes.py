"""Where a router may send a task: agents and playbooks, and the choice as the conversation keeps it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from orchestrator.sdk import ConfigurationError, ContractError, Conversation, Definitions
from orchestrator.sdk.messages import events, types
from orchestrator_services.planner.compilation import compiled_playbook
from orchestrator_services.strategies.notes import note, notes

ROUTER: Final = "router"
"""Name of the planner."""
ROUTE: Final = "route"
"""Kind of the note of the choice."""
_PLAYBOOK: Final = "playbook"


@dataclass(frozen=True)
class Route:
    """An agent or a playbook that can be chosen."""

    name: str
    """As the model and the conversation name it."""
    description: str
    profile: types.AgentProfile
    """How the agent thinks; for a playbook, one that uses it."""

    def note(self, why: str) -> dict[str, Any]:
        """The choice. It holds the profile: what is defined anew later does not change a session that has begun."""
        return note(ROUTE, to=self.name, why=why or None, profile=msgspec.to_builtins(self.profile))


def routes(definitions: Definitions, agent: str) -> list[Route]:
    """Everything with a description that the agent's routes allow, in the order of names: without a description there
    is nothing to choose it by.

    No router leads to itself or to another one: a task could go round in a circle.
    """
    found = [*_agents(definitions.agents, agent), *_playbooks(definitions.playbooks)]
    own = definitions.agents.get(agent)
    patterns = own.routes if own else ()
    allowed = found if not patterns else [route for route in found if _is_allowed(route.name, patterns)]
    return sorted(allowed, key=lambda route: route.name)


def _is_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits the name: with what it is the name of if the pattern says that too, without it if not."""
    bare = name.partition(" ")[2]
    return any(fnmatchcase(name if " " in pattern else bare, pattern) for pattern in patterns)


def chosen(conversation: Conversation) -> types.AgentProfile | None:
    """The profile that was chosen in this conversation; None before. Raises `ContractError` if it is damaged."""
    found = next(notes(conversation, ROUTE), None)
    if found is None:
        return None
    try:
        return msgspec.convert(found["profile"], types.AgentProfile)
    except (KeyError, msgspec.ValidationError) as error:
        raise ContractError(f"the route in the conversation cannot be read: {error}") from error


def _agents(defined: Mapping[str, types.AgentProfile], own: str) -> Iterator[Route]:
    for name, profile in defined.items():
        if name != own and profile.planner != ROUTER and profile.description:
            yield Route(f"agent {name}", profile.description, profile)


def _playbooks(defined: Mapping[str, events.PlaybookDefined]) -> Iterator[Route]:
    for name, playbook in defined.items():
        if description := _description(playbook):
            profile = types.AgentProfile(name=name, planner=_PLAYBOOK, playbook=name)
            yield Route(f"playbook {name}", description, profile)


def _description(playbook: events.PlaybookDefined) -> str:
    try:
        return compiled_playbook(playbook.source).playbook.description
    except ConfigurationError:
        # Nobody can run it: it is no choice.
        return ""

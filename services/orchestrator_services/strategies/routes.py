"""Where a router may send a task: agents and playbooks, and the choice as the conversation keeps it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from orchestrator.sdk import ContractError, Conversation, Definitions
from orchestrator.sdk.messages import events, types
from orchestrator_services.planner.matching import playbooks
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


async def routes(definitions: Definitions, agent: str) -> list[Route]:
    """Everything with a description that the agent's routes allow, in the order of names: without a description there
    is nothing to choose it by.

    No router leads to itself or to another one: a task could go round in a circle.
    """
    own = definitions.agents.get(agent)
    patterns = own.routes if own else ()
    agents = _agents(definitions.agents, agent, patterns)
    return sorted([*agents, *await _playbooks(definitions.playbooks, patterns)], key=lambda route: route.name)


def _is_allowed(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits the name: with what it is the name of if the pattern says that too, without it if not.
    Without patterns every name is."""
    if not patterns:
        return True
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


def _agents(defined: Mapping[str, types.AgentProfile], own: str, patterns: Sequence[str]) -> Iterator[Route]:
    for name, profile in defined.items():
        route = f"agent {name}"
        if name != own and profile.planner != ROUTER and profile.description and _is_allowed(route, patterns):
            yield Route(route, profile.description, profile)


async def _playbooks(defined: Mapping[str, events.PlaybookDefined], patterns: Sequence[str]) -> list[Route]:
    names = [name for name in defined if _is_allowed(f"playbook {name}", patterns)]
    if not names:
        # Nothing is compiled for a router of agents.
        return []
    entries = (await playbooks.prepared(defined)).entries
    # An invalid one nobody can run: it is no choice.
    compiled = [(name, found) for name in names if (found := entries[name].playbook)]
    return [
        Route(
            f"playbook {name}",
            found.playbook.description,
            types.AgentProfile(name=name, planner=_PLAYBOOK, playbook=name),
        )
        for name, found in compiled
        if found.playbook.description
    ]

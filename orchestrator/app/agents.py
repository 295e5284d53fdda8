"""The agent profiles that the orchestrator looks up when it accepts a task."""

from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.messages.types import AgentProfile
from orchestrator.worker.broadcast.definitions import DefinitionsReader

DEFAULT_AGENT: Final = "default"
"""The agent of tasks that name none. It needs no definition: a playbook planner and all tools."""

_CATCH_UP_TIMEOUT_S: Final = 2.0


class DefinedAgents:
    """Profiles from the definitions topic."""

    def __init__(self, definitions: DefinitionsReader) -> None:
        self._definitions = definitions

    def for_batch(self) -> "DefinedAgentsOfBatch":
        """For tasks that were read before this call."""
        return DefinedAgentsOfBatch(self._definitions)


class DefinedAgentsOfBatch:
    """Profiles for one batch of tasks. The first one that is missing costs a wait, and all others none: whoever
    writes tasks may make names up, and the sessions of others wait meanwhile."""

    def __init__(self, definitions: DefinitionsReader) -> None:
        self._definitions = definitions
        self._is_caught_up = False

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name, or None. A missing one may just have been defined, so the topic is read to
        its end first. Raises `UnavailableError` during an outage."""
        found = self._definitions.table.agents.get(name)
        if found is not None:
            return found
        if name == DEFAULT_AGENT:
            return AgentProfile(name=DEFAULT_AGENT)
        # An outage raises here, so that the task waits: to refuse it would be wrong.
        if not self._is_caught_up:
            self._definitions.catch_up(Deadline.after(_CATCH_UP_TIMEOUT_S))
            self._is_caught_up = True
        return self._definitions.table.agents.get(name)

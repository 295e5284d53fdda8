"""Agents as the orchestrator looks them up when it accepts a task."""

from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.messages.types import AgentProfile
from orchestrator.worker.broadcast.definitions import DefinitionsReader

DEFAULT_AGENT: Final = "default"
"""The agent of tasks that name none. It exists without being defined: a playbook planner, all tools."""

_CATCH_UP_S: Final = 2.0


class DefinedAgents:
    """Profiles from the definitions topic."""

    def __init__(self, definitions: DefinitionsReader) -> None:
        self._definitions = definitions

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name. One that is missing may just have been defined: the topic is read to its
        end before the answer is no."""
        found = self._definitions.table.agents.get(name)
        if found is not None:
            return found
        if name == DEFAULT_AGENT:
            return AgentProfile(name=DEFAULT_AGENT)
        # Raises `UnavailableError` in an outage: the task waits then, refusing it would be wrong.
        self._definitions.catch_up(Deadline.after(_CATCH_UP_S))
        return self._definitions.table.agents.get(name)

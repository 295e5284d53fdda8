"""What `durable` is told about an agent besides the agent itself."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pydantic_ai import Agent, UsageLimits

from orchestrator.sdk import Context, PlanRequest
from orchestrator_services.agents.servers import Origin


@dataclass(frozen=True)
class Options:
    """An agent, and how it is run."""

    agent: Agent[Any, Any]
    deps: Callable[..., Any] | None = None
    prompt: Callable[[PlanRequest], str] | None = None
    usage_limits: UsageLimits | None = None
    at_most_once: Collection[str] = ()

    @property
    def name(self) -> str:
        """Name of the agent, its planner, and what its tools' names begin with."""
        return self.agent.name or ""

    def tool_name(self, name: str) -> str:
        """The platform's name of a function tool, or of a toolset by its id."""
        return f"{self.name}.{name}"

    def server_tool(self, origin: Origin) -> str:
        """The platform's name of a tool of a server."""
        return self.tool_name(f"{origin.server}.{origin.tool}")

    async def make_deps(self, context: Context) -> Any:
        """The dependencies of one turn or one run of a tool."""
        if self.deps is None:
            return None
        made = self.deps(context) if inspect.signature(self.deps).parameters else self.deps()
        return await made if inspect.isawaitable(made) else made

"""The toolsets of an agent: which there are, and how a model is offered their tools as steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.toolsets import (
    AbstractToolset,
    CombinedToolset,
    FunctionToolset,
    ToolsetTool,
    WrapperToolset,
)
from pydantic_ai.toolsets.function import FunctionToolsetTool

from orchestrator.sdk import PermanentError
from orchestrator.sdk.messages import types
from orchestrator_services.agents.options import Options
from orchestrator_services.policies import refusal


@dataclass(frozen=True)
class Toolsets:
    """The tools of an agent: its own functions, and toolsets with an id each."""

    functions: Sequence[FunctionToolset[Any]]
    """Those of `tools=` and `@agent.tool`: known before it runs."""
    others: Sequence[AbstractToolset[Any]]
    """Toolsets and servers whose tools are listed when it runs."""

    @classmethod
    def of(cls, agent: Agent[Any, Any]) -> "Toolsets":
        # The first one is that of the agent's own functions.
        own, *others = agent.toolsets
        functions = [own] if isinstance(own, FunctionToolset) else []
        return cls(functions, [leaf for one in others for leaf in _apart(one)])


def id_of(toolset: AbstractToolset[Any]) -> str:
    """The id of a toolset, or of the one that it wraps; empty without one."""
    while not toolset.id and isinstance(toolset, WrapperToolset):
        toolset = toolset.wrapped
    return toolset.id or ""


def as_used_alone(toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
    """A toolset for a single call: a capability's own one asks for its capability, which only whole runs have."""
    while isinstance(toolset, WrapperToolset) and isinstance(
        getattr(toolset, "capability", None), AbstractCapability
    ):
        toolset = toolset.wrapped
    return toolset


def _apart(toolset: AbstractToolset[Any]) -> Iterator[AbstractToolset[Any]]:
    """The toolsets that a combined one is made of."""
    if not isinstance(toolset, CombinedToolset):
        yield toolset
        return
    for one in toolset.toolsets:
        yield from _apart(one)


@dataclass(frozen=True)
class Route:
    """Where a call of the model goes."""

    tool: str
    """The platform's name of the tool."""
    in_toolset: str
    """The tool's name in its toolset; empty for a function tool, which is a tool of the platform itself."""
    offered: ToolsetTool[Any]


@dataclass
class Deferred(WrapperToolset[Any]):
    """A toolset whose tools a model is offered as without the platform. They run as steps, never here."""

    options: Options
    tool: str
    """The platform's tool for all of them; empty where each one has its own."""
    policy: types.ToolPolicy
    routes: dict[str, Route]
    """By the names that the model uses, as of the last request; several toolsets write to it."""

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        offered: dict[str, ToolsetTool[Any]] = {}
        for name, tool in (await super().get_tools(ctx)).items():
            route = self._route(name, tool)
            if refusal(route.tool, self.policy):
                continue
            if tool.tool_def.defer:
                raise not_supported(self.options.name, name)
            self.routes[name] = route
            offered[name] = replace(tool, tool_def=replace(tool.tool_def, kind="external"))
        return offered

    def _route(self, name: str, tool: ToolsetTool[Any]) -> Route:
        if self.tool:
            return Route(self.tool, name, tool)
        # A function's `prepare` may offer it by another name.
        original = tool.original_name if isinstance(tool, FunctionToolsetTool) else None
        return Route(self.options.tool_name(original or name), "", tool)

    async def call_tool(self, name: str, *_arguments: Any) -> Any:
        raise NotImplementedError(f"{name} runs as a step of the session")


def deferred(
    options: Options, policy: types.ToolPolicy, routes: dict[str, Route]
) -> list[AbstractToolset[Any]]:
    """The toolsets of an agent, as one turn offers them."""
    found = Toolsets.of(options.agent)
    named: list[tuple[str, AbstractToolset[Any]]] = [("", one) for one in found.functions]
    named += [(options.tool_name(id_of(one)), one) for one in found.others]
    return [Deferred(one, options, tool, policy, routes) for tool, one in named]


def not_supported(agent: str, tool: str) -> PermanentError:
    return PermanentError(
        f"{agent}: {tool} waits for an approval or an answer from outside, which a durable agent cannot do: "
        "let a reviewer of the platform decide instead",
        code="not_supported",
    )

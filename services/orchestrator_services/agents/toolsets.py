"""The toolsets of an agent: which there are, and how a model is offered their tools as steps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from orchestrator.sdk import PermanentError, TransientError
from orchestrator.sdk.messages import types
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.server_http import ServerOfRuns
from orchestrator_services.agents.servers import SharedServer, is_server, is_server_of_runs, origin_of
from orchestrator_services.policies import refusal


@dataclass(frozen=True)
class Toolset:
    """One toolset of an agent, with all that wraps it. Its tools are listed when the agent runs."""

    whole: AbstractToolset[Any]
    """The toolset as it is used; its servers are shared."""
    servers: Sequence[SharedServer]
    """Servers in it. Each of their tools is a tool of the platform."""
    others: Sequence[AbstractToolset[Any]]
    """What else it consists of. The platform has one tool for all tools of these."""

    @classmethod
    def of(cls, toolset: AbstractToolset[Any]) -> "Toolset":
        leaves: list[AbstractToolset[Any]] = []
        toolset.apply(leaves.append)
        parts = [one for one in leaves if not _is_wrapper(one)]
        if not any(is_server(one) or is_server_of_runs(one) for one in parts):
            return cls(toolset, [], parts)
        servers: list[SharedServer] = []

        def shared(leaf: AbstractToolset[Any]) -> AbstractToolset[Any]:
            if is_server_of_runs(leaf):
                return ServerOfRuns(leaf)
            if not is_server(leaf):
                return leaf
            servers.append(SharedServer.of(leaf))
            return servers[-1]

        return cls(toolset.visit_and_replace(shared), servers, [one for one in parts if not is_server(one)])

    @property
    def id(self) -> str:
        """The id of what is no server in it; empty if one has none."""
        ids = [one.id for one in self.others]
        return "-".join(one for one in ids if one) if all(ids) else ""

    @property
    def label(self) -> str:
        return self.whole.label


@dataclass(frozen=True)
class Toolsets:
    """The tools of an agent: its own functions, and toolsets with an id each."""

    functions: Sequence[FunctionToolset[Any]]
    """Those of `tools=` and `@agent.tool`: known before it runs."""
    others: Sequence[Toolset]
    """Toolsets and servers whose tools are listed when it runs."""

    @classmethod
    def of(cls, agent: Agent[Any, Any]) -> "Toolsets":
        # The first one is that of the agent's own functions.
        own, *others = agent.toolsets
        functions = [own] if isinstance(own, FunctionToolset) else []
        return cls(functions, [Toolset.of(leaf) for one in others for leaf in _apart(one)])


def _is_wrapper(toolset: AbstractToolset[Any]) -> bool:
    # A capability's own one is visited besides what it wraps.
    return isinstance(toolset, WrapperToolset)


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
    """The platform's tool for all of them but those of servers; empty where each one has its own."""
    policy: types.ToolPolicy
    announced: Mapping[str, types.ToolDefinition]
    """The tools that executors run."""
    routes: dict[str, Route]
    """By the names that the model uses, as of the last request; several toolsets write to it."""

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        offered: dict[str, ToolsetTool[Any]] = {}
        tools = await super().get_tools(ctx)
        routes = {name: self._route(name, tool) for name, tool in tools.items()}
        allowed = {name: route for name, route in routes.items() if not refusal(route.tool, self.policy)}
        require_announced([tools[name] for name in allowed], self.options, self.announced)
        for name, route in allowed.items():
            tool = tools[name]
            if origin_of(tool.tool_def) and route.tool not in self.announced:
                # The server has it since a short while: an executor has not seen it yet.
                continue
            if tool.tool_def.defer:
                raise not_supported(self.options.name, name)
            self.routes[name] = route
            offered[name] = replace(tool, tool_def=replace(tool.tool_def, kind="external"))
        return offered

    def _route(self, name: str, tool: ToolsetTool[Any]) -> Route:
        if origin := origin_of(tool.tool_def):
            return Route(self.options.server_tool(origin), "", tool)
        if self.tool:
            return Route(self.tool, name, tool)
        # A function's `prepare` may offer it by another name.
        original = tool.original_name if isinstance(tool, FunctionToolsetTool) else None
        return Route(self.options.tool_name(original or name), "", tool)

    async def call_tool(self, name: str, *_arguments: Any) -> Any:
        raise NotImplementedError(f"{name} runs as a step of the session")


def deferred(
    options: Options,
    policy: types.ToolPolicy,
    announced: Mapping[str, types.ToolDefinition],
    routes: dict[str, Route],
) -> list[AbstractToolset[Any]]:
    """The toolsets of an agent, as one turn offers them."""
    found = Toolsets.of(options.agent)
    named: list[tuple[str, AbstractToolset[Any]]] = [("", one) for one in found.functions]
    named += [(options.tool_name(one.id), one.whole) for one in found.others]
    return [Deferred(one, options, tool, policy, announced, routes) for tool, one in named]


def require_announced(
    tools: Iterable[ToolsetTool[Any]], options: Options, announced: Mapping[str, types.ToolDefinition]
) -> None:
    """Raises `TransientError` for a server that no executor has reached yet: none of its tools could run."""
    known: dict[str, bool] = {}
    for tool in tools:
        if origin := origin_of(tool.tool_def):
            is_known = options.server_tool(origin) in announced
            known[origin.server] = known.get(origin.server, False) or is_known
    if missing := [server for server, is_known in known.items() if not is_known]:
        raise TransientError(
            f"no executor has announced the tools of the server {', '.join(missing)} yet: check that a tool executor "
            "runs with this agent's module, and that its log has no warning about it",
            code="tools_not_announced",
        )


def not_supported(agent: str, tool: str) -> PermanentError:
    return PermanentError(
        f"{agent}: {tool} waits for an approval or an answer from outside, which a durable agent cannot do: "
        "let a reviewer of the platform decide instead",
        code="not_supported",
    )

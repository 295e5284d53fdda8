"""The tools of an agent's servers, as tools of the platform: known once an executor has asked the server."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic_ai.tools import ToolDefinition as ModelTool

from orchestrator.sdk import Context, Tool, ToolDefinition, ToolSource
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.running import bare_context, run_in_toolset, runs_once
from orchestrator_services.agents.servers import Origin, SharedServer
from orchestrator_services.agents.tools import AgentTool
from orchestrator_services.agents.toolsets import Toolset, Toolsets, as_used_alone

_GRACE_MS: Final = 10_000
"""For what comes before a call: the connection, and a ping."""
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint")


def sources_of(options: Options) -> Iterator[ToolSource]:
    """A source of tools for each server of the agent."""
    for toolset in Toolsets.of(options.agent).others:
        for server in toolset.servers:
            yield _source(server, toolset, options)


def _source(server: SharedServer, toolset: Toolset, options: Options) -> ToolSource:
    """The tools of one server. They run with all that wraps it."""
    whole, name = as_used_alone(toolset.whole), options.tool_name(server.id)

    async def definitions() -> AsyncIterator[Sequence[ToolDefinition]]:
        while True:
            tools = await server.get_tools(bare_context(options))
            yield [_definition(tool.tool_def, server, options) for tool in tools.values()]
            await server.changed()

    def tool(full_name: str) -> Tool:
        origin = Origin(server.id, full_name.removeprefix(f"{name}."))

        async def run(given: dict[str, Any], context: Context) -> Any:
            if runs_once(context):
                await server.check()
            return await run_in_toolset(whole, origin, given, options, context)

        return AgentTool(run, ToolDefinition(name=full_name, at_most_once=_is_named(origin, options)))

    return ToolSource(name, definitions, tool)


def _definition(tool: ModelTool, server: SharedServer, options: Options) -> ToolDefinition:
    origin = Origin(server.id, tool.name)
    annotations = (tool.metadata or {}).get("annotations") or {}
    return ToolDefinition(
        name=options.server_tool(origin),
        description=tool.description or "",
        arguments_schema=json.dumps(tool.parameters_json_schema, sort_keys=True),
        output_schema=json.dumps(_unwrapped(tool.return_schema or {}), sort_keys=True),
        timeout_ms=_timeout_ms(server.read_timeout_s),
        at_most_once=_is_named(origin, options) or _must_not_repeat(annotations),
    )


def _timeout_ms(seconds: float | None) -> int:
    """The server's own timeout comes first; 0 leaves it to the agent's profile."""
    return 0 if seconds is None else round(seconds * 1000) + _GRACE_MS


def _is_named(origin: Origin, options: Options) -> bool:
    """Whether the agent's code says that the tool must not run twice."""
    return bool({origin.server, f"{origin.server}.{origin.tool}"} & set(options.at_most_once))


def _must_not_repeat(annotations: Mapping[str, Any]) -> bool:
    """Whether a server says that a second run would have an effect of its own.

    A server that says nothing about effects is taken for one whose tools may be repeated, as functions are.
    """
    if all(annotations.get(hint) is None for hint in _HINTS):
        return False
    return not annotations.get("readOnlyHint") and not annotations.get("idempotentHint")


def _unwrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of what a tool returns: where it is no object, the protocol wraps it as `result`."""
    properties = schema.get("properties") or {}
    if set(properties) != {"result"}:
        return schema
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {**properties["result"], **definitions}

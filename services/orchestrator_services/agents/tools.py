"""The tools of an agent, as tools of the platform."""

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic_ai import Tool as AgentFunction
from pydantic_ai.toolsets import FunctionToolset

from orchestrator.sdk import Context, InvalidInput, Tool, ToolDefinition
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.running import run_function, run_in_toolset
from orchestrator_services.agents.toolsets import Toolset, Toolsets, as_used_alone

_TIMEOUT_MS: Final = 30_000
_GRACE_MS: Final = 5_000
"""A tool's own timeout comes first: what it says goes to the model, as without the platform."""
_IN_TOOLSET: Final = {
    "type": "object",
    "properties": {"tool": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["tool", "arguments"],
    "additionalProperties": False,
}


class AgentTool(Tool):
    """A tool of an agent. The agent's own library validates its arguments, when it runs."""

    def arguments(self, given: Any, context: Context) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise InvalidInput(f"{self.name} takes arguments by name (a JSON object)")
        return {"given": given, "context": context}


def tools_of(options: Options) -> Iterator[AgentTool]:
    """A tool for each function of the agent, and one for each of its toolsets that is no server."""
    found = Toolsets.of(options.agent)
    for functions in found.functions:
        for name in functions.tools:
            yield _function(functions, name, options)
    for toolset in found.others:
        if toolset.others:
            yield _toolset(toolset, options)


def _function(functions: FunctionToolset[Any], name: str, options: Options) -> AgentTool:
    async def run(given: dict[str, Any], context: Context) -> Any:
        return await run_function(functions, name, given, options, context)

    tool: AgentFunction[Any] = functions.tools[name]
    definition = tool.tool_def
    return AgentTool(
        run,
        ToolDefinition(
            name=options.tool_name(name),
            description=definition.description or "",
            arguments_schema=json.dumps(definition.parameters_json_schema, sort_keys=True),
            output_schema=json.dumps(definition.return_schema or {}, sort_keys=True),
            timeout_ms=_timeout_ms(definition.timeout or functions.timeout),
            at_most_once=name in options.at_most_once,
        ),
    )


def _toolset(toolset: Toolset, options: Options) -> AgentTool:
    toolset_id, alone = toolset.id, as_used_alone(toolset.whole)

    async def run(given: dict[str, Any], context: Context) -> Any:
        return await run_in_toolset(alone, given["tool"], given["arguments"], options, context)

    return AgentTool(
        run,
        ToolDefinition(
            name=options.tool_name(toolset_id),
            description=f"Runs a tool of {toolset_id}, a toolset of the agent {options.name}.",
            arguments_schema=json.dumps(_IN_TOOLSET, sort_keys=True),
            timeout_ms=_TIMEOUT_MS,
            at_most_once=toolset_id in options.at_most_once,
        ),
    )


def _timeout_ms(seconds: float | None) -> int:
    return _TIMEOUT_MS if seconds is None else round(seconds * 1000) + _GRACE_MS

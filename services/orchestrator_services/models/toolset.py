"""Tools of the platform, as the client's library offers them to models: it asks for them, and never runs one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai import ExternalToolset, ModelRetry, RunContext
from pydantic_ai.tools import ToolDefinition as ModelTool
from pydantic_ai.toolsets import ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from orchestrator.sdk import PermanentError, ToolDefinition
from orchestrator_services.models.names import ToolNames
from orchestrator_services.tool_selector.arguments import Arguments

# Of models' JSON only the shape is checked here: the tool's schema is checked by `Arguments`.
_OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


class PlatformTools(ExternalToolset[None]):
    """Tools whose arguments are checked against their schemas: what does not fit goes back to the model."""

    def __init__(self, tools: Sequence[ToolDefinition], names: ToolNames, attempts: int) -> None:
        self._by_name = {names.to_model(tool.name): tool for tool in tools}
        self._attempts = attempts
        super().__init__([_offered(name, tool) for name, tool in self._by_name.items()], id="platform")

    async def get_tools(self, ctx: RunContext[None]) -> dict[str, ToolsetTool[None]]:
        return {
            name: replace(
                offered,
                max_retries=self._attempts,
                args_validator=_OBJECT,
                args_validator_func=_checking(self._by_name[name]),
            )
            for name, offered in (await super().get_tools(ctx)).items()
        }


def _offered(name: str, tool: ToolDefinition) -> ModelTool:
    try:
        schema = json.loads(tool.arguments_schema)
    except ValueError as error:
        raise PermanentError(f"the arguments schema of {tool.name} is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise PermanentError(f"the arguments schema of {tool.name} must be a JSON object")
    return ModelTool(
        name=name, description=tool.description, parameters_json_schema={"type": "object", **schema}
    )


def _checking(tool: ToolDefinition) -> Callable[..., None]:
    def check(_context: RunContext[None], /, **arguments: Any) -> None:
        if problems := Arguments.of(arguments, ()).problems(tool):
            raise ModelRetry(f"the arguments of {tool.name} do not fit: {'; '.join(problems)}")

    return check

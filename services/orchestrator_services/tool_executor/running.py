"""Running one tool, blocking or not."""

import inspect
from functools import partial
from typing import Any

from orchestrator.sdk import PermanentError, Tool, contained, jsonable, takes_long
from orchestrator_services.tool_executor.threads import in_thread


async def run(tool: Tool, arguments: dict[str, Any]) -> Any:
    """Runs a tool and returns its output as plain JSON data.

    Raises what the tool raises, `PluginRaised` for what is not an `Exception`, or `PermanentError` with the code
    `output_not_json` or `output_limit`.
    """
    if not tool.is_async:
        return await contained(in_thread(partial(_run_blocking, tool, arguments), f"tool-{tool.name}"))
    return await contained(_run_async(tool, arguments))


async def _run_async(tool: Tool, arguments: dict[str, Any]) -> Any:
    result = await tool(**arguments)
    if takes_long(result):
        return await in_thread(partial(jsonable, result, tool.name), f"result of {tool.name}")
    return jsonable(result, tool.name)


def _run_blocking(tool: Tool, arguments: dict[str, Any]) -> Any:
    result = tool(**arguments)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise PermanentError(
            f"{tool.name} returned an awaitable: declare it with `async def`", code="tool_error"
        )
    return jsonable(result, tool.name)

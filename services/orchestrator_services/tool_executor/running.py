"""Running one tool, blocking or not, and making JSON of what it returns."""

import inspect
from functools import partial
from typing import Any, Final

from pydantic_core import to_jsonable_python

from orchestrator.sdk import PermanentError, Tool
from orchestrator_services.tool_executor.threads import in_thread

OUTPUT_NOT_JSON: Final = "output_not_json"


async def run(tool: Tool, arguments: dict[str, Any]) -> Any:
    """Runs a tool and returns its output as plain JSON data.

    Raises what the tool raises, or `PermanentError` with the code `output_not_json`.
    """
    if not tool.is_async:
        return await in_thread(partial(_run_blocking, tool, arguments), f"tool-{tool.name}")
    try:
        result = await tool(**arguments)
    except (SystemExit, KeyboardInterrupt) as error:
        # asyncio would let these through every handler and end the worker.
        raise RuntimeError(f"{type(error).__name__} was raised") from error
    return jsonable(result, tool.name)


def _run_blocking(tool: Tool, arguments: dict[str, Any]) -> Any:
    result = tool(**arguments)
    if inspect.isawaitable(result):
        raise PermanentError(
            f"{tool.name} returned an awaitable: declare it with `async def`", code="tool_error"
        )
    return jsonable(result, tool.name)


def jsonable(result: Any, tool_name: str) -> Any:
    """What a tool returned as plain JSON data. It may hold models, dataclasses, dates, paths, sets and iterators."""
    try:
        return to_jsonable_python(result)
    except (ValueError, TypeError, RecursionError) as error:
        raise output_not_json(tool_name, result, error) from error


def output_not_json(tool_name: str, result: Any, error: Exception) -> PermanentError:
    what = f"what {tool_name} returned ({type(result).__name__})"
    return PermanentError(f"{what} is not JSON: {error}", code=OUTPUT_NOT_JSON)

"""Running tools in processes of their own."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from orchestrator.sdk import ProcessPool, ServiceContext, Target, Tool, run_isolated
from orchestrator.sdk.messages import commands
from orchestrator_services.tool_executor.settings import ToolExecutorSettings


@cache
def processes() -> ProcessPool:
    """The processes of this executor."""
    return ProcessPool(ToolExecutorSettings.read().processes)


def warm(tools: Iterable[Tool]) -> None:
    """Prepares the processes that the runs of these tools are forked from."""
    for target in {Target.of(tool.function) for tool in tools if tool.isolation}:
        processes().warm(target)


async def isolated(
    tool: Tool, given: Mapping[str, Any], message: commands.ExecuteTool, context: ServiceContext
) -> Any:
    """Runs a tool in a process of its own and returns its output, which is JSON already."""
    return await run_isolated(tool, given, context, message.timeout_ms / 1000, processes())

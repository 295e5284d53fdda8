"""Tool execution: announces and runs the tools that are loaded in this process."""

from orchestrator_services.tool_executor.handlers import service
from orchestrator_services.tool_executor.settings import ToolExecutorSettings

__all__ = ["ToolExecutorSettings", "service"]

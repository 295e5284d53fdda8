"""Tool execution: runs the tools that are loaded in this process, and announces them."""

from orchestrator_services.tool_executor.handlers import service
from orchestrator_services.tool_executor.pools import ToolExecutorSettings

__all__ = ["ToolExecutorSettings", "service"]

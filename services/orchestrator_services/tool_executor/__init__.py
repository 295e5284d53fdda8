"""Tool execution: runs the tools that are loaded in this process, and announces them."""

from orchestrator_services.tool_executor.handlers import service

__all__ = ["service"]

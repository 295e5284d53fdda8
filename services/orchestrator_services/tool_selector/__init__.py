"""Tool selection: chooses the tool for each step among those that executors announced."""

from orchestrator_services.tool_selector.handlers import service
from orchestrator_services.tool_selector.model import by_model
from orchestrator_services.tool_selector.settings import ToolSelectorSettings
from orchestrator_services.tool_selector.strategy import closest_fit

__all__ = ["ToolSelectorSettings", "by_model", "closest_fit", "service"]

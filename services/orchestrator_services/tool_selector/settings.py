"""Settings of the tool selector."""

from functools import cache

from orchestrator.sdk import PluginSettings


class ToolSelectorSettings(PluginSettings, prefix="TOOL_SELECTOR"):
    """How tools are chosen."""

    strategy: str = "default"
    """Name of the selector that chooses among the tools that could do a step."""


@cache
def settings() -> ToolSelectorSettings:
    """The settings of this process, read once: each message asks for them."""
    return ToolSelectorSettings.read()

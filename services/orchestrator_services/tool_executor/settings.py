"""Settings of the tool executor."""

from typing import Annotated

from pydantic import Field

from orchestrator.sdk import PluginSettings


class ToolExecutorSettings(PluginSettings, prefix="TOOL_EXECUTOR"):
    """Which tools run in this process."""

    pool: Annotated[str, Field(pattern="^[a-z0-9-]+$")] | None = None
    """Pool whose tools run here, lower-case letters, digits and dashes. Unset: those of every pool, so set it for
    all executors or for none."""
    processes: Annotated[int, Field(ge=1, le=1_000)] = 16
    """Most runs at once of tools that run in processes of their own; more wait. Each may take the memory of its tool
    and 30 MB."""

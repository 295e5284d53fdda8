"""Settings of the tool selector."""

from functools import cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class ToolSelectorSettings(BaseSettings):
    """Every field is the variable `ORCHESTRATOR_TOOL_SELECTOR_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_TOOL_SELECTOR_", frozen=True)

    strategy: str = "default"
    """Name of the selector that chooses among the tools that could do a step."""


@cache
def settings() -> ToolSelectorSettings:
    """The settings of this process, read once: reading the environment takes longer than a decision."""
    return ToolSelectorSettings()

"""Settings of the tool selector."""

from functools import cache
from typing import Final, Self

from pydantic import model_validator

from orchestrator.sdk import PluginSettings

MODEL_VARIABLE: Final = "ORCHESTRATOR_TOOL_SELECTOR_MODEL"


class ToolSelectorSettings(PluginSettings, prefix="TOOL_SELECTOR"):
    """How tools are chosen."""

    strategy: str = "default"
    """Name of the selector that chooses among the tools that could do a step: `default`, `model`, or a plug-in's."""
    model: tuple[str, ...] = ()
    """Model that the selector `model` asks, `PROVIDER:MODEL`; more of them are asked where those before do not
    respond."""

    @model_validator(mode="after")
    def _model_named(self) -> Self:
        if self.strategy == "model" and not self.model:
            raise ValueError(f"the strategy model needs a model: set {MODEL_VARIABLE} to PROVIDER:MODEL")
        return self


@cache
def settings() -> ToolSelectorSettings:
    """The settings of this process, read once: each message asks for them."""
    return ToolSelectorSettings.read()

"""Settings of recovery."""

from functools import cache
from typing import Final, Self

from pydantic import model_validator

from orchestrator.sdk import PluginSettings

MODEL_VARIABLE: Final = "ORCHESTRATOR_RECOVERY_MODEL"


class RecoverySettings(PluginSettings, prefix="RECOVERY"):
    """How failed calls are handled."""

    strategy: str = "default"
    """Name of the recovery strategy that decides: `default`, `adviser`, or a plug-in's."""
    model: tuple[str, ...] = ()
    """Model that the strategy `adviser` asks, `PROVIDER:MODEL`; more of them are asked where those before do not
    respond."""

    @model_validator(mode="after")
    def _model_named(self) -> Self:
        if self.strategy == "adviser" and not self.model:
            raise ValueError(f"the strategy adviser needs a model: set {MODEL_VARIABLE} to PROVIDER:MODEL")
        return self


@cache
def settings() -> RecoverySettings:
    """The settings of this process, read once: each message asks for them."""
    return RecoverySettings.read()

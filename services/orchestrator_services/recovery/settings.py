"""Settings of recovery."""

from functools import cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class RecoverySettings(BaseSettings):
    """Every field is the variable `ORCHESTRATOR_RECOVERY_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_RECOVERY_", frozen=True)

    strategy: str = "default"
    """Name of the strategy that decides."""


@cache
def settings() -> RecoverySettings:
    """The settings of this process, read once: reading the environment takes longer than a decision."""
    return RecoverySettings()

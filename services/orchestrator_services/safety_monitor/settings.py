"""Settings of the safety monitor."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class SafetySettings(BaseSettings):
    """Every field is the variable `ORCHESTRATOR_SAFETY_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_SAFETY_", frozen=True)

    rules: Path | None = None
    """YAML file of the rules; without one only the number of steps is bounded."""

"""Settings of recovery."""

from functools import cache

from orchestrator.sdk import PluginSettings


class RecoverySettings(PluginSettings, prefix="RECOVERY"):
    """How failed calls are handled."""

    strategy: str = "default"
    """Name of the recovery strategy that decides."""


@cache
def settings() -> RecoverySettings:
    """The settings of this process, read once: each message asks for them."""
    return RecoverySettings.read()

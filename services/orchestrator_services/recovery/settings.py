"""Settings of recovery."""

from orchestrator.sdk import PluginSettings


class RecoverySettings(PluginSettings, prefix="RECOVERY"):
    """How failed calls are handled."""

    strategy: str = "default"
    """Name of the recovery strategy that decides."""

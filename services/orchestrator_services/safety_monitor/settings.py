"""Settings of the safety monitor."""

from collections.abc import Iterable
from pathlib import Path

from orchestrator.sdk import ConfigurationError, PluginSettings
from orchestrator_services.safety_monitor.rules import read_rules


class SafetySettings(PluginSettings, prefix="SAFETY"):
    """What plans are reviewed against."""

    rules: Path | None = None
    """YAML file of the rules. Without one only the number of steps is limited."""

    def problems(self) -> Iterable[str]:
        """What is wrong with the file of the rules."""
        try:
            read_rules(self.rules)
        except ConfigurationError as error:
            return error.problems
        return ()

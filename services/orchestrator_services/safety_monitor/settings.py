"""Settings of the safety monitor."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Self

from pydantic import model_validator

from orchestrator.sdk import ConfigurationError, PluginSettings
from orchestrator_services.safety_monitor.rules import read_rules

MODEL_VARIABLE: Final = "ORCHESTRATOR_SAFETY_MODEL"
_WORDS: Final = "ORCHESTRATOR_SAFETY_POLICY"


class SafetySettings(PluginSettings, prefix="SAFETY"):
    """What plans are reviewed against."""

    rules: Path | None = None
    """YAML file of the rules of the reviewer `safety`. Without one only the number of steps is limited."""
    policy: str = ""
    """Rules in words, for the reviewer `model`."""
    policy_file: Path | None = None
    """File of the rules in words, in place of the text."""
    model: tuple[str, ...] = ()
    """Model that the reviewer `model` asks, `PROVIDER:MODEL`; more of them are asked where those before do not
    respond."""

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.policy and self.policy_file:
            raise ValueError(f"set {_WORDS} or {_WORDS}_FILE, not both")
        return self

    def rules_in_words(self) -> str:
        """The rules of the reviewer `model`. Raises `ConfigurationError` if there are none."""
        text = self.policy
        if self.policy_file is not None:
            try:
                text = self.policy_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"the safety policy {self.policy_file} cannot be read: {error}"
                ) from error
        if not text.strip():
            raise ConfigurationError(f"no safety rules in words: set {_WORDS} or {_WORDS}_FILE")
        return text.strip()

    def problems(self) -> Iterable[str]:
        """What is wrong with the files of the rules."""
        return (*self._problems_of_rules(), *self._problems_of_words())

    def _problems_of_rules(self) -> Iterable[str]:
        try:
            read_rules(self.rules)
        except ConfigurationError as error:
            return error.problems
        return ()

    def _problems_of_words(self) -> Iterator[str]:
        """Rules without a model, a model without rules, or a file that cannot be read."""
        words = bool(self.policy or self.policy_file)
        if words and not self.model:
            yield f"{_WORDS} has no model that reads it: set {MODEL_VARIABLE} to PROVIDER:MODEL"
        if words or self.model:
            try:
                self.rules_in_words()
            except ConfigurationError as error:
                yield from error.problems

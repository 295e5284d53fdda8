"""Which model a service asks, by its own setting."""

from collections.abc import Sequence

from orchestrator.sdk import ConfigurationError
from orchestrator.sdk.messages import types


def policy_of(models: Sequence[str], variable: str) -> types.ModelPolicy:
    """The policy for the models of a setting: the first, and those to ask where it does not respond.

    Raises `ConfigurationError` that names the setting's variable where there is none.
    """
    if not models:
        raise ConfigurationError(f"no model to ask: set {variable} to PROVIDER:MODEL")
    name, *fallback = models
    return types.ModelPolicy(name=name, fallback=tuple(fallback))

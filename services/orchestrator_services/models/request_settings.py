"""Settings of requests that an agent's profile gives, checked before anything is sent."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from pydantic_ai.models import Model as ClientModel
from pydantic_ai.settings import ModelSettings

from orchestrator.sdk import PermanentError, credentials_in
from orchestrator_services.models.settings import ModelsSettings

_OURS: Final = {
    "max_retries": "recovery repeats failed requests",
    "tool_choice": "a turn chooses among its tools, or answers",
    "extra_headers": "headers carry credentials",
    "extra_body": "it would bypass the checks of settings",
}
"""Settings of the library that agents may not set, and why."""


def request_settings(
    given: str, models: Iterable[ClientModel], settings: ModelsSettings, *, continues: bool
) -> ModelSettings:
    """The settings of a policy, a JSON object, with the platform's bounds. Raises as `checked_settings` does.

    `continues` says whether the conversation may go on, so that a later request repeats what this one sends.
    """
    bounds: dict[str, Any] = {
        "max_tokens": settings.max_tokens,
        "request_timeout": settings.request_timeout,
        # Some providers keep in a cache only what they are asked to keep, and writing there costs more than reading.
        "cache": {"messages": continues},
    }
    # Recovery retries, where it counts attempts and can wait; a provider's client would do so unseen.
    return cast(ModelSettings, {**bounds, **checked_settings(given, models), "max_retries": 0})


def checked_settings(given: str, models: Iterable[ClientModel]) -> dict[str, Any]:
    """The settings of a policy, a JSON object.

    Raises `PermanentError` with `model_settings` that names every setting that is unknown, that the platform sets
    itself, or that looks like a credential. A credential's value is not repeated.
    """
    found = _object(given)
    known = {name for model in models for name in _names(model)} | set(ModelSettings.__annotations__)
    if problems := list(_problems(found, known)):
        raise PermanentError("the agent's model settings: " + "; ".join(problems), code="model_settings")
    return found


def _object(given: str) -> dict[str, Any]:
    try:
        found = json.loads(given or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PermanentError("the agent's model settings are not a JSON object", code="model_settings")
    return found


def _problems(found: dict[str, Any], known: set[str]) -> Iterator[str]:
    credentials = list(credentials_in(found))
    for path in credentials:
        yield f"{path} looks like a credential: those come from the environment of the planner's process"
    for name in found:
        if name in _OURS:
            yield f"{name} cannot be set: {_OURS[name]}"
        elif name not in known and name not in credentials:
            yield f"{name} is not a setting of these models; settings are {', '.join(sorted(_usual()))}"
    if "max_tokens" in found and not _positive(found["max_tokens"]):
        yield "max_tokens must be a positive whole number"
    if "request_timeout" in found and not _seconds(found["request_timeout"]):
        yield "request_timeout must be a positive number of seconds"


def _usual() -> set[str]:
    return set(ModelSettings.__annotations__) - set(_OURS)


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _names(model: ClientModel) -> set[str]:
    """Settings that the provider of a model has on its own: those that the modules of its class declare."""
    modules = (sys.modules.get(one.__module__) for one in type(model).__mro__ if one is not object)
    return {
        name
        for module in modules
        for declared, settings in vars(module).items()
        if declared.endswith("ModelSettings") and isinstance(settings, type)
        for name in getattr(settings, "__annotations__", {})
    }

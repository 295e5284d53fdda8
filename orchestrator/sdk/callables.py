"""Checks of the functions that decorators turn into plug-ins: one that can never be called is refused when declared."""

import inspect
from collections.abc import Callable
from typing import Any

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.declarations import refuse


def require_callable(function: Callable[..., Any], what: str, *parameters: str) -> None:
    """Refuses a function that cannot be called with these arguments, by position, or whose results nobody can
    await."""
    if problem := _problem(function, parameters):
        refuse(ConfigurationError(f"{what} {name_of(function)}: {problem}"))


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function, or an object with `__call__`, returns something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def takes_several(function: Callable[..., Any]) -> bool:
    """Whether a function has more than one parameter, as far as can be known."""
    try:
        return len(inspect.signature(function).parameters) > 1
    except (TypeError, ValueError):
        return False


def _problem(function: Any, parameters: tuple[str, ...]) -> str:
    if not callable(function):
        return "it is no function: write the decorator above an `async def`"
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return "it has a `yield`, so it returns an iterator that nobody reads: return what it makes instead"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # built in: there is nothing to look at
    try:
        signature.bind(*parameters)
    except TypeError as error:
        return f"it cannot be called with ({', '.join(parameters)}): {error}"
    return ""

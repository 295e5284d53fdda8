"""Functions that decorators turn into plug-ins."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from orchestrator.sdk.callables import is_async, name_of, require_callable, takes_several
from orchestrator.sdk.context import Context

Q = TypeVar("Q")
A = TypeVar("A")
RoleFunction: TypeAlias = Callable[[Q], Awaitable[A]] | Callable[[Q, Context], Awaitable[A]]
"""`async def f(request)` or `async def f(request, context)`."""


def with_context(function: RoleFunction[Q, A]) -> Callable[[Q, Context], Awaitable[A]]:
    """The function with two parameters; one that takes the request only is called without the context.

    Raises `ConfigurationError` for a function that can be called in neither way.
    """
    takes_context = takes_several(function)
    require_callable(function, "the function", "request", *(("context",) if takes_context else ()))
    call: Callable[..., Awaitable[A]] = function if is_async(function) else _awaited(function)
    if takes_context:
        return call

    async def without_context(request: Q, _context: Context) -> A:
        return await call(request)

    return without_context


def _awaited(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A function that is not declared as async, but may return something to await."""

    async def call(*given: Any) -> Any:
        result = function(*given)
        if not inspect.isawaitable(result):
            raise TypeError(f"{name_of(function)} is not async: declare it with `async def`")
        return await result

    return call

"""Functions that decorators turn into plug-ins."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from orchestrator.sdk.context import Context

Q = TypeVar("Q")
A = TypeVar("A")
RoleFunction: TypeAlias = Callable[[Q], Awaitable[A]] | Callable[[Q, Context], Awaitable[A]]
"""`async def f(request)` or `async def f(request, context)`."""


def with_context(function: RoleFunction[Q, A]) -> Callable[[Q, Context], Awaitable[A]]:
    """The function with two parameters; one that takes the request only is called without the context."""
    call: Callable[..., Awaitable[A]] = function
    if len(inspect.signature(function).parameters) > 1:
        return call

    async def without_context(request: Q, _context: Context) -> A:
        return await call(request)

    return without_context

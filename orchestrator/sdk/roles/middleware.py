"""Middleware: functions around the handlers of services."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from orchestrator.messages.base import Message
from orchestrator.sdk.callables import name_of, require_callable
from orchestrator.sdk.service_context import ServiceContext

Next: TypeAlias = Callable[[Message, ServiceContext], Awaitable[Sequence[Message]]]
"""The handler, inside the rest of the middleware."""
Wrapper: TypeAlias = Callable[[Message, ServiceContext, Next], Awaitable[Sequence[Message]]]


@dataclass(frozen=True)
class Middleware:
    """Wraps handlers: `await handle(message, context, call_next)` returns the messages to send."""

    role: ClassVar[str] = "middleware"

    name: str
    services: frozenset[str]
    """Services it wraps; empty is all of them."""
    handle: Wrapper


def middleware(*services: str) -> Callable[[Wrapper], Middleware]:
    """Declares `async def f(message, context, call_next)` around the handlers of these services, or of all."""

    def declare(function: Wrapper) -> Middleware:
        require_callable(function, "middleware", "message", "context", "call_next")
        return Middleware(name_of(function), frozenset(services), function)

    return declare

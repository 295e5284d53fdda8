"""Middleware: plug-ins around a handler and what it writes."""

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.messages.base import Message
from orchestrator.sdk.errors import PermanentError
from orchestrator.sdk.roles.middleware import Middleware, Next
from orchestrator.sdk.service import Service, as_messages
from orchestrator.sdk.service_context import ServiceContext


def chain(service: Service, middleware: Iterable[Middleware]) -> Next:
    """The service's handlers as one function, inside the middleware that names it or names no service.

    The first of `middleware` is the outermost: it sees the message first and the outputs last.
    """
    call: Next = _handlers(service)
    for wrapper in reversed([one for one in middleware if not one.services or service.name in one.services]):
        call = _wrap(wrapper, call)
    return _checked(service, call)


def _checked(service: Service, inner: Next) -> Next:
    """What it writes is refused here if the brokers would refuse it, where the service has the least rights."""

    async def call(message: Message, context: ServiceContext) -> Sequence[Message]:
        outputs = await inner(message, context)
        service.require_written(outputs)
        return outputs

    return call


def _handlers(service: Service) -> Next:
    handlers: dict[type[Any], Any] = dict(service.handlers)

    async def call(message: Message, context: ServiceContext) -> Sequence[Message]:
        return as_messages(await handlers[type(message)](message, context))

    return call


def _wrap(wrapper: Middleware, inner: Next) -> Next:
    async def call(message: Message, context: ServiceContext) -> Sequence[Message]:
        outputs: Sequence[Message] | None = await wrapper.handle(message, context, inner)
        if outputs is None:
            # A handler may have nothing to say. Here it is a `return` that was forgotten, and silences the service.
            raise PermanentError(
                f"middleware {wrapper.name} returned nothing: return the messages to send, which are those of "
                "`await call_next(message, context)`, or an empty list"
            )
        return as_messages(outputs)

    return call

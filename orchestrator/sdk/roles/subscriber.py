"""Subscribers: functions that see the messages of sessions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.errors import ConfigurationError
from orchestrator.messages.base import Command, Event
from orchestrator.messages.catalogue import matching
from orchestrator.sdk.callables import name_of
from orchestrator.sdk.context import Context
from orchestrator.sdk.roles.functions import RoleFunction, with_context
from orchestrator.sdk.service import Service
from orchestrator.sdk.service_context import ServiceContext


@dataclass(frozen=True)
class ObservedEvent:
    """A message as subscribers see it. Fields that its type does not have read as None."""

    message: Event | Command

    @property
    def type(self) -> str:
        """Short name, such as `ToolFailed`."""
        return type(self.message).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "message"), name, None)


@dataclass(frozen=True)
class Subscriber:
    """A function that sees every message whose type matches a pattern, in a consumer group of its own."""

    role: ClassVar[str] = "subscriber"

    name: str
    """Its consumer group."""
    pattern: str
    ordered: bool
    handle: Callable[[ObservedEvent, Context], Awaitable[Any]]

    def service(self) -> Service:
        """The service that shows it the matching messages of every session. What it returns is not sent.

        Raises `ConfigurationError` if no message matches.
        """
        service = Service(self.name, ordered=self.ordered, writes=())
        messages = [
            entry.message for entry in matching(self.pattern) if issubclass(entry.message, Command | Event)
        ]
        if not messages:
            raise ConfigurationError(
                f"subscriber {self.name}: no message of a session matches the pattern {self.pattern!r}"
            )

        @service.on(*messages)
        async def observe(message: Command | Event, context: ServiceContext) -> None:
            await self.handle(ObservedEvent(message), context)

        return service


def subscriber(
    pattern: str, *, group: str = "", ordered: bool = False
) -> Callable[[RoleFunction[ObservedEvent, Any]], Subscriber]:
    """Declares `async def f(event)`, or `f(event, context)`, to be called for every message whose type matches
    a shell pattern.

    `group` names its consumer group (the function's name by default); every group sees every message. With
    `ordered` it sees the messages of one session one after the other.
    """
    return lambda function: Subscriber(
        group or name_of(function).replace("_", "-"), pattern, ordered, with_context(function)
    )

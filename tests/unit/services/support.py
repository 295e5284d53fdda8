"""A platform in memory: real handlers, no broker, and a clock that stands until it is moved."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from orchestrator.messages import commands, events, types
from orchestrator.messages.base import Command, Event, Message, SessionEvent
from orchestrator.messages.types import AgentProfile, Call, CallKind, ToolDefinition, Value
from orchestrator.messages.values import json_value, read_json
from orchestrator.sdk import ModelRequest, Platform, Plugins, Service, ServiceContext
from orchestrator.sdk.service import as_messages

SESSION = str(UUID(int=7))
START = 1_700_000_000_000_000
"""Unix time in microseconds."""


@dataclass
class MemoryDefinitions:
    tools: dict[str, ToolDefinition] = field(default_factory=dict)
    agents: dict[str, AgentProfile] = field(default_factory=dict)
    playbooks: dict[str, events.PlaybookDefined] = field(default_factory=dict)


class MemoryValues:
    """Every value is inline."""

    can_keep = True

    async def load(self, value: Value | None) -> Any:
        return read_json(value)

    async def store(self, content: Any) -> Value:
        return json_value(content)

    async def keep(self, content: Any) -> Value:
        return json_value(content)


class MemoryMetrics:
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] += amount  # type: ignore[assignment]

    def of(self, name: str, **labels: str) -> float:
        return self.counts[name, tuple(sorted(labels.items()))]


class World:
    """One process: its plug-ins, definitions, clock, and what was emitted before a handler returned."""

    def __init__(self, *plugins: Any, tools: Mapping[str, ToolDefinition] | None = None) -> None:
        self.time = START
        self.emitted: list[Message] = []
        self.emit_instead: Callable[[Message], Awaitable[None]] | None = None
        """For a world whose Kafka does not respond."""
        self.traced: list[ModelRequest] = []
        self.definitions = MemoryDefinitions(tools=dict(tools or {}))
        self.metrics = MemoryMetrics()
        self.values: Any = MemoryValues()
        self.plugins = Plugins.of(*plugins)

    @property
    def platform(self) -> Platform:
        return Platform(
            plugins=self.plugins,
            definitions=self.definitions,
            values=self.values,
            emit=self._emit,
            now=lambda: self.time,
            metrics=self.metrics,
            trace=lambda _message, _number, request: self.traced.append(request),
            instance="test-0",
        )

    async def _emit(self, message: Message) -> None:
        if self.emit_instead:
            await self.emit_instead(message)
        self.emitted.append(message)

    async def handle(self, service: Service, message: Command | Event) -> tuple[Any, ...]:
        """What the service writes because of the message."""
        handler = service.handlers[type(message)]
        return as_messages(await handler(message, ServiceContext(service.name, message, self.platform)))

    async def reply(self, service: Service, message: Command | Event) -> Any:
        """The one message that the service writes because of the message."""
        (reply,) = await self.handle(service, message)
        return reply


def call(kind: CallKind = CallKind.TOOL, **fields: Any) -> Call:
    given = {"call_id": "call-1", "step_id": "fetch", "due_at": START + 60_000_000, **fields}
    return Call(kind=kind, **given)


def event(kind: type[Event], **fields: Any) -> Any:
    return _message(kind, "event_id", fields)


def command(kind: type[Command], **fields: Any) -> Any:
    return _message(kind, "command_id", {"not_after": START + 60_000_000, **fields})


def _message(kind: Any, own_id: str, fields: dict[str, Any]) -> Any:
    if issubclass(kind, SessionEvent):
        fields.setdefault("sequence", 1)
    head = {own_id: str(UUID(int=1)), "correlation_id": SESSION, "occurred_at": START}
    return kind(**head | fields)


def failure(kind: types.FailureKind, code: str = "broken") -> types.Failure:
    return types.Failure(kind=kind, code=code, message="it did not work")


def plain(value: Value | None) -> Any:
    """JSON content of an inline value."""
    return None if value is None or value.inline is None else msgspec.json.decode(value.inline)


__all__ = [
    "SESSION",
    "START",
    "World",
    "call",
    "command",
    "commands",
    "event",
    "events",
    "failure",
    "plain",
    "types",
]

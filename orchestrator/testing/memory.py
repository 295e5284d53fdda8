"""Definitions, values and counters in memory, for handlers."""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from orchestrator.bus.values.message_values import INLINE_LIMIT
from orchestrator.errors import ContractError
from orchestrator.messages import events
from orchestrator.messages.base import Message
from orchestrator.messages.types import AgentProfile, ToolDefinition, Value
from orchestrator.messages.values import json_value, read_json


@dataclass
class MemoryDefinitions:
    """The last definition of each name."""

    tools: dict[str, ToolDefinition] = field(default_factory=dict)
    agents: dict[str, AgentProfile] = field(default_factory=dict)
    playbooks: dict[str, events.PlaybookDefined] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        match message:
            case events.ToolDefined():
                self.tools[message.tool.name] = message.tool
            case events.AgentDefined():
                self.agents[message.profile.name] = message.profile
            case events.PlaybookDefined():
                self.playbooks[message.name] = message
            case _:
                pass


class MemoryValues:
    """Values up to the inline size are in messages; larger ones are stored here, by the hash of their bytes."""

    def __init__(self, inline_bytes: int = INLINE_LIMIT) -> None:
        self.stored: dict[str, bytes] = {}
        self._inline_bytes = inline_bytes
        self.can_keep = True
        """Whether there is a value store. A test may take it away."""

    async def load(self, value: Value | None) -> Any:
        return None if value is None else read_json(self.inlined(value))

    def inlined(self, value: Value) -> Value:
        """The value with its bytes. Raises `ContractError` if they are missing or were altered."""
        if value.uri is None:
            return value
        content = self.stored.get(value.uri)
        if content is None or sha256(content).hexdigest() != value.sha256:
            raise ContractError(f"the value at {value.uri} is missing or was altered")
        return replace(value, inline=content)

    async def store(self, content: Any) -> Value:
        value = json_value(content)
        return value if value.size <= self._inline_bytes else self._stored(value)

    async def keep(self, content: Any) -> Value:
        return self._stored(json_value(content))

    def _stored(self, value: Value) -> Value:
        if value.inline is None:
            return value
        uri = f"memory:{value.sha256}"
        self.stored[uri] = value.inline
        return replace(value, inline=None, uri=uri)


class MemoryMetrics:
    """Counters by name and labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] += amount  # type: ignore[assignment]

    def of(self, name: str, **labels: str) -> float:
        """The count of a name with exactly these labels."""
        return self.counts[name, tuple(sorted(labels.items()))]

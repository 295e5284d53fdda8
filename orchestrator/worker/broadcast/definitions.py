"""The table of tools, agents and playbooks, read from the definitions topic."""

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import BEGINNING, Bus, Received
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import AgentDefined, PlaybookDefined, ToolDefined
from orchestrator.messages.types import AgentProfile, ToolDefinition
from orchestrator.worker.broadcast.ignored import IgnoredRecords
from orchestrator.worker.broadcast.reader import BroadcastReader

_Table = Mapping[str, Any]
_EMPTY: Final[_Table] = MappingProxyType({})


class DefinitionTable:
    """The newest definition of each name. Its properties are snapshots, which do not change.

    A table is copied before it changes only if somebody has seen it since the last copy. So a flood of definitions
    costs the same for each, and whoever reads waits for a copy at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, dict[str, Any]] = {}
        self._seen: set[str] = set()
        """The tables that somebody may be reading."""

    @property
    def tools(self) -> Mapping[str, ToolDefinition]:
        return self._snapshot("tool")

    @property
    def agents(self) -> Mapping[str, AgentProfile]:
        return self._snapshot("agent")

    @property
    def playbooks(self) -> Mapping[str, PlaybookDefined]:
        return self._snapshot("playbook")

    def apply(self, received: Received, codec: Codec) -> None:
        """Puts the definition that a record of the topic holds, or removes the one whose key a record without a
        value has. Raises as `Codec.decode` does."""
        if received.value is None:
            self.remove(received.key_text)
        else:
            self.put(codec.decode(received))

    def put(self, definition: Message) -> None:
        """Adds or replaces a definition."""
        found = _entry_of(definition)
        if found is not None:
            kind, name, value = found
            with self._lock:
                self._changeable(kind)[name] = value

    def remove(self, key: str) -> None:
        """Removes the definition under a Kafka key such as `tool/sql.query`."""
        kind, _, name = key.partition("/")
        with self._lock:
            if name in self._tables.get(kind, _EMPTY):
                del self._changeable(kind)[name]

    def has(self, definition: Message) -> bool:
        """Whether the table has this definition, regardless of who wrote it and when."""
        found = _entry_of(definition)
        if found is None:
            return False
        kind, name, value = found
        with self._lock:
            known = self._tables.get(kind, _EMPTY).get(name)
        if isinstance(known, PlaybookDefined) and isinstance(value, PlaybookDefined):
            return known.event_id == value.event_id
        return bool(known == value)

    def _snapshot(self, kind: str) -> _Table:
        with self._lock:
            self._seen.add(kind)
            return MappingProxyType(self._tables.setdefault(kind, {}))

    def _changeable(self, kind: str) -> dict[str, Any]:
        """The table, or a copy if somebody has seen it."""
        if kind in self._seen:
            self._seen.discard(kind)
            self._tables[kind] = dict(self._tables[kind])
        return self._tables.setdefault(kind, {})


class DefinitionsReader:
    """Reads the definitions topic from its beginning into a table, in a thread of its own."""

    def __init__(self, bus: Bus, codec: Codec, group: str) -> None:
        self.table = DefinitionTable()
        self._codec = codec
        self._ignored = IgnoredRecords("definition")
        self._reader = BroadcastReader(bus, codec, (Topic.DEFINITIONS, BEGINNING), group, self._on_record)

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        self._reader.stop()

    def catch_up(self, deadline: Deadline) -> None:
        """Returns when the table has all that was defined before the call. Raises `UnavailableError`.

        For the start, and for a lookup of a name that may just have been defined.
        """
        self._reader.catch_up(deadline)

    def _on_record(self, received: Received) -> None:
        try:
            self.table.apply(received, self._codec)
        except Exception as error:  # noqa: BLE001 - no record may end the reader
            self._ignored.add(received, error)


def _entry_of(definition: Message) -> tuple[str, str, Any] | None:
    match definition:
        case ToolDefined(tool=tool):
            return "tool", tool.name, tool
        case AgentDefined(profile=profile):
            return "agent", profile.name, profile
        case PlaybookDefined(name=name):
            return "playbook", name, definition
        case _:
            return None

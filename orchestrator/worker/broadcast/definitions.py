"""The table of tools, agents and playbooks, read from the definitions topic."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import BEGINNING, Bus, Received
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import AgentDefined, PlaybookDefined, ToolDefined
from orchestrator.messages.types import AgentProfile, ToolDefinition
from orchestrator.worker.broadcast.reader import BroadcastReader

logger: Final = logging.getLogger(__name__)

_Table = Mapping[str, Any]
_EMPTY: Final[_Table] = MappingProxyType({})


class DefinitionTable:
    """The newest definition of each name. Its properties are snapshots, which do not change."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}

    @property
    def tools(self) -> Mapping[str, ToolDefinition]:
        return self._tables.get("tool", _EMPTY)

    @property
    def agents(self) -> Mapping[str, AgentProfile]:
        return self._tables.get("agent", _EMPTY)

    @property
    def playbooks(self) -> Mapping[str, PlaybookDefined]:
        return self._tables.get("playbook", _EMPTY)

    def apply(self, received: Received, codec: Codec) -> None:
        """Puts the definition that a record of the topic holds, or removes the one whose key a record without a
        value has. Raises as `Codec.decode` does."""
        if received.value is None:
            self.remove(received.key_text)
        else:
            self.put(codec.decode(received))

    def put(self, definition: Message) -> None:
        """Adds or replaces a definition. By one thread at a time."""
        found = _entry_of(definition)
        if found is not None:
            kind, name, value = found
            self._tables[kind] = MappingProxyType({**self._tables.get(kind, _EMPTY), name: value})

    def remove(self, key: str) -> None:
        """Removes the definition under a Kafka key such as `tool/sql.query`."""
        kind, _, name = key.partition("/")
        kept = {known: value for known, value in self._tables.get(kind, _EMPTY).items() if known != name}
        self._tables[kind] = MappingProxyType(kept)

    def has(self, definition: Message) -> bool:
        """Whether the table has this definition, regardless of who wrote it and when."""
        found = _entry_of(definition)
        if found is None:
            return False
        kind, name, value = found
        known = self._tables.get(kind, _EMPTY).get(name)
        if isinstance(known, PlaybookDefined) and isinstance(value, PlaybookDefined):
            return known.event_id == value.event_id
        return bool(known == value)


class DefinitionsReader:
    """Reads the definitions topic from its beginning into a table, in a thread of its own."""

    def __init__(self, bus: Bus, codec: Codec, group: str) -> None:
        self.table = DefinitionTable()
        self._codec = codec
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
        except SchemaUnresolved as error:
            logger.error(
                "ignored the definition at offset %d until this process restarts: %s", received.offset, error
            )
        except Exception as error:  # noqa: BLE001 - no record may end the reader
            logger.warning(
                "ignored the definition at offset %d, which cannot be decoded: %s", received.offset, error
            )


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

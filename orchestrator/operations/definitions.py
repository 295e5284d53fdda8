"""The agents, playbooks and tools of an installation."""

from dataclasses import dataclass

from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.client.connection import Connection
from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import PlaybookDefined
from orchestrator.messages.task_bounds import LONGEST_NAME
from orchestrator.messages.types import AgentProfile, ToolDefinition
from orchestrator.sdk.documents import parse_playbooks
from orchestrator.worker.broadcast.definitions import DefinitionTable


@dataclass(frozen=True)
class Definitions:
    """Each kind sorted by name. `warnings` name definitions that cannot be read and are left out."""

    agents: tuple[AgentProfile, ...]
    playbooks: tuple[PlaybookDefined, ...]
    tools: tuple[ToolDefinition, ...]
    warnings: tuple[str, ...] = ()


def read_definitions(connection: Connection, timeout_s: float) -> Definitions:
    """What the definitions topic holds now. Raises `UnavailableError` if Kafka does not respond in time."""
    table = DefinitionTable()
    warnings: list[str] = []
    for received in read_to_end(connection.bus, all_partitions(connection.bus, Topic.DEFINITIONS), timeout_s):
        try:
            table.apply(received, connection.codec)
        except ContractError as error:
            warnings.append(f"the definition of {received.key_text[:LONGEST_NAME]} cannot be read: {error}")
    return Definitions(
        agents=tuple(table.agents[name] for name in sorted(table.agents)),
        playbooks=tuple(table.playbooks[name] for name in sorted(table.playbooks)),
        tools=tuple(table.tools[name] for name in sorted(table.tools)),
        warnings=tuple(warnings),
    )


def description_of(playbook: PlaybookDefined) -> str:
    """The description in the playbook's source."""
    try:
        return parse_playbooks(playbook.source)[0].description
    except (ConfigurationError, IndexError):
        return "cannot be read by this version"

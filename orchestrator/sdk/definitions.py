"""Messages that announce tools, agents and playbooks. The same definition always has the same id."""

from typing import Any

import msgspec

from orchestrator.messages.events import AgentDefined, PlaybookDefined, ToolDefined
from orchestrator.messages.identity import derived_id
from orchestrator.messages.types import AgentProfile, ToolDefinition


def tool_defined(tool: ToolDefinition, now: int) -> ToolDefined:
    """`now` is Unix time in microseconds."""
    return ToolDefined(event_id=_id_of("tool", tool), occurred_at=now, tool=tool)


def agent_defined(profile: AgentProfile, now: int) -> AgentDefined:
    """`now` is Unix time in microseconds."""
    return AgentDefined(event_id=_id_of("agent", profile), occurred_at=now, profile=profile)


def playbook_defined(name: str, version: str, source: str, now: int) -> PlaybookDefined:
    """`source` is the playbook's own YAML document; `now` is Unix time in microseconds."""
    return PlaybookDefined(
        event_id=_id_of("playbook", [name, version, source]),
        occurred_at=now,
        name=name,
        version=version,
        source=source,
    )


def _id_of(kind: str, definition: Any) -> str:
    return derived_id("definition", kind, msgspec.json.encode(definition).decode())

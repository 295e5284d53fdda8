"""What a planner's process remembers of a conversation between turns, and how it is read back without it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sdk import Conversation, Values
from orchestrator.sdk.messages import types
from orchestrator_services.models import History
from orchestrator_services.prompting.outputs import Reference, rendered


@dataclass(frozen=True)
class Recalled:
    """A conversation as the model client takes it."""

    history: History | None = None
    """None before the first turn."""
    outputs: Mapping[str, types.Value] = field(default_factory=dict)
    """Outputs that lie in the value store, by step: those that can be read on in."""


async def recalled(conversation: Conversation, values: Values) -> Recalled:
    """The conversation up to now. Raises `ContractError` where a value of it is missing."""
    if isinstance(conversation.memo, Recalled):
        return conversation.memo
    if conversation.head is None:
        return Recalled()
    outputs: dict[str, types.Value] = {}
    messages = [await _with_outputs(message, values, outputs) for message in conversation.messages]
    return Recalled(History.of(messages), outputs)


def referenced(
    messages: Sequence[Mapping[str, Any]], references: Mapping[str, Reference]
) -> Iterable[Mapping[str, Any]]:
    """New messages of a conversation, with references in place of the outputs that lie in the value store.

    `references` are by the call of the model that they answer.
    """
    for message in messages:
        yield {**message, "parts": [_referenced(part, references) for part in message.get("parts", ())]}


def _referenced(part: Mapping[str, Any], references: Mapping[str, Reference]) -> Mapping[str, Any]:
    found = references.get(part.get("tool_call_id", "")) if part.get("part_kind") == "tool-return" else None
    return part if found is None else {**part, "content": found.content()}


async def _with_outputs(
    message: Mapping[str, Any], values: Values, outputs: dict[str, types.Value]
) -> Mapping[str, Any]:
    parts = []
    for part in message.get("parts", ()):
        reference = Reference.of(part.get("content"))
        if reference is not None:
            outputs[reference.step] = reference.value
            content = await values.load(reference.value)
            part = {**part, "content": rendered(content, reference.step, reference.tool)}
        parts.append(part)
    return {**message, "parts": parts}

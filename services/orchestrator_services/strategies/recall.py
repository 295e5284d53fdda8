"""What a planner's process remembers of a conversation between turns, and how it is read back without it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.sdk import Conversation, PermanentError, Values
from orchestrator.sdk.messages import types
from orchestrator_services.models import History, library_loaded
from orchestrator_services.prompting.outputs import Reference, Shown, kept, shown_again
from orchestrator_services.strategies.notes import is_said

_PARAGRAPH: Final = "\n\n"


@dataclass(frozen=True)
class Recalled:
    """A conversation as the model client takes it."""

    history: History | None = None
    """None before the first turn."""
    outputs: Mapping[str, types.Value] = field(default_factory=dict)
    """Outputs that references in the conversation stand for, by step, oldest first."""


def require_store(values: Values) -> None:
    """Raises `PermanentError` where a conversation could not be kept: before a model is asked and paid."""
    if not values.can_keep:
        raise PermanentError(
            "the conversation with the model has to be kept in a value store, and none is configured: set "
            "ORCHESTRATOR_VALUES_URL to a folder or bucket that all planners reach",
            code="no_value_store",
        )


async def recalled(conversation: Conversation, values: Values) -> Recalled:
    """The conversation up to now. Raises `ContractError` where a value of it is missing, and what `require_store`
    says."""
    require_store(values)
    if isinstance(conversation.memo, Recalled):
        return conversation.memo
    said = [message for message in conversation.messages if is_said(message)]
    if not said:
        return Recalled()
    outputs: dict[str, types.Value] = {}
    messages = [await _with_outputs(message, values, outputs) for message in said]
    await library_loaded()
    return Recalled(History.of(messages), outputs)


def in_words(prompt: Iterable[Shown]) -> str:
    """A prompt as the model reads it."""
    return _PARAGRAPH.join(piece.text for piece in prompt)


def referenced(
    messages: Iterable[Mapping[str, Any]], answers: Mapping[str, Reference], prompt: Sequence[Shown] = ()
) -> Iterator[Mapping[str, Any]]:
    """New messages of a conversation, with references in place of outputs.

    `answers` are by the call of the model that they answer. Of answers to calls only what lies in the value store
    has one, of the `prompt` every output.
    """
    has_outputs = any(piece.reference for piece in prompt)
    prompts = {in_words(prompt): [kept(piece) for piece in prompt]} if has_outputs else {}
    for message in messages:
        parts = [_referenced(part, answers, prompts) for part in message.get("parts", ())]
        yield {**message, "parts": parts}


def _referenced(
    part: Mapping[str, Any], answers: Mapping[str, Reference], prompts: Mapping[str, Any]
) -> Mapping[str, Any]:
    match part.get("part_kind"):
        # What the client says about a call of its own turn is no output, though some servers use an id again.
        case "tool-return" if part.get("tool_call_id") in answers and part.get("outcome") != "retried":
            return {**part, "content": answers[part["tool_call_id"]].content()}
        case "user-prompt" if part.get("content") in prompts:
            return {**part, "content": prompts[part["content"]]}
        case _:
            return part


async def _with_outputs(
    message: Mapping[str, Any], values: Values, outputs: dict[str, types.Value]
) -> Mapping[str, Any]:
    parts = []
    for part in message.get("parts", ()):
        content = part.get("content")
        if part.get("part_kind") == "user-prompt" and isinstance(content, list):
            part = {**part, "content": in_words([await _again(one, values, outputs) for one in content])}
        elif Reference.of(content) is not None:
            part = {**part, "content": (await _again(content, values, outputs)).text}
        parts.append(part)
    return {**message, "parts": parts}


async def _again(content: Any, values: Values, outputs: dict[str, types.Value]) -> Shown:
    seen = await shown_again(content, values)
    if seen.reference is not None:
        outputs[seen.reference.step] = seen.reference.value
    return seen

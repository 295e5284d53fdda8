"""Conversations: as JSON data that is kept, and as the objects that the client's library works with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_core import to_json

from orchestrator.sdk import ContractError, described

# Sent with every request as they are then; ids and times of a run say nothing to a model.
_DROPPED: Final = frozenset({"instructions", "run_id", "conversation_id", "failed_attempts"})
_DROPPED_IN_PARTS: Final = frozenset({"timestamp"})


def as_text(content: Any) -> str:
    """Output of a tool as models read it: text as it is, other data as JSON.

    It is always text. The client's library would take an object that looks like one of its own (a link to an image,
    say) for that, and fetch what a tool's output names.
    """
    return content if isinstance(content, str) else to_json(content).decode()


def decoded(messages: Iterable[Mapping[str, Any]]) -> tuple[ModelMessage, ...]:
    """The messages of a conversation. Outputs of tools may be in it as data or as text. Raises `ContractError`."""
    try:
        return tuple(ModelMessagesTypeAdapter.validate_python([_with_text(one) for one in messages]))
    except (ValidationError, TypeError) as error:
        raise ContractError(f"the conversation cannot be read: {described(error)}") from error


def encoded(messages: Sequence[ModelMessage]) -> list[dict[str, Any]]:
    """The messages as JSON data that `decoded` reads, without what says nothing."""
    dumped: list[dict[str, Any]] = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    return [_message(one) for one in dumped]


def open_calls(messages: Sequence[ModelMessage]) -> list[ToolCallPart]:
    """The calls of the last response that have no answer yet, in the order of the response."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            return [call for call in message.tool_calls if call.tool_call_id not in answered]
        answered |= {part.tool_call_id for part in message.parts if isinstance(part, ToolReturnPart)}
    return []


def last_response(messages: Sequence[ModelMessage]) -> ModelResponse | None:
    return next((one for one in reversed(messages) if isinstance(one, ModelResponse)), None)


def text_of(response: ModelResponse | None) -> str:
    """What a response says in words."""
    if response is None:
        return ""
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def _with_text(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message.get("kind") != "request":
        return message
    time = {"timestamp": message["timestamp"]} if "timestamp" in message else {}
    return {**message, "parts": [{**time, **_part_with_text(part)} for part in message.get("parts", ())]}


def _part_with_text(part: Mapping[str, Any]) -> Mapping[str, Any]:
    # The library's own problems of arguments are lists, which it explains to the model.
    if part.get("part_kind") == "tool-return" and part.get("outcome") != "retried":
        return {**part, "content": as_text(part.get("content"))}
    return part


def _message(message: dict[str, Any]) -> dict[str, Any]:
    kept = _without(message, _DROPPED)
    kept["parts"] = [_without(part, _DROPPED_IN_PARTS) for part in message["parts"]]
    if usage := message.get("usage"):
        kept["usage"] = {name: amount for name, amount in usage.items() if amount}
    return kept


def _without(record: dict[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in dropped and value is not None}

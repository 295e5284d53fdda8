"""How many tokens a request has at most. A token is at least one byte, so bytes bound tokens of any model."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_core import to_json

from orchestrator_services.models.conversion import encoded

ADDED: Final = 768
"""Tokens that client and provider add to what is sent: what tools and tags mean, and how to answer."""
ADDED_TO_MESSAGE: Final = 128
"""Tokens that they add to a message: its role, and how to take an error."""
_STAMP: Final = "orchestrator"


def most_input(messages: Sequence[ModelMessage], parameters: ModelRequestParameters, model: str) -> int:
    """Upper bound of a request's input tokens.

    What the model has already read and written is counted as its last response reported it, and only what was added
    since by its bytes. Without such a response of this model everything counts by its bytes.
    """
    frame = _frame(parameters)
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, ModelResponse):
            stamp = (message.metadata or {}).get(_STAMP) or {}
            if stamp.get("model") != model or not message.usage.has_values():
                break
            read = message.usage.input_tokens + message.usage.output_tokens
            changed = 0 if stamp.get("frame") == _digest(frame) else len(frame)
            return read + changed + ADDED + _bytes(messages[index + 1 :])
    return len(frame) + ADDED + _bytes(messages)


def most_output(response: ModelResponse) -> int:
    """Upper bound of a response's tokens, where its provider does not report them."""
    return _bytes([response])


def stamp(parameters: ModelRequestParameters, model: str) -> dict[str, Any]:
    """Metadata of a response from which the next request sees what its reported tokens stand for."""
    return {_STAMP: {"model": model, "frame": _digest(_frame(parameters))}}


def _frame(parameters: ModelRequestParameters) -> bytes:
    """What is sent with each request besides its messages."""
    output = parameters.output_object
    return to_json(
        {
            "instructions": [part.content for part in parameters.instruction_parts or ()],
            "tools": [_tool(tool) for tool in (*parameters.function_tools, *parameters.output_tools)],
            "output": None if output is None else [output.name, output.description, output.json_schema],
        }
    )


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters_json_schema,
    }


def _bytes(messages: Sequence[ModelMessage]) -> int:
    return sum(len(to_json(one)) + ADDED_TO_MESSAGE for one in encoded(messages))


def _digest(frame: bytes) -> str:
    return hashlib.sha256(frame).hexdigest()[:16]

"""What a model is asked and answers, in the form in which traces show it."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.instrumented import InstrumentationSettings

from orchestrator.sdk import ModelContent

# The library's names, where OpenTelemetry's conventions have others by now.
_TYPES: Final = {"thinking": "reasoning"}
_FIELDS: Final = {"result": "response"}


def content_of(
    messages: list[ModelMessage],
    parameters: ModelRequestParameters,
    response: ModelResponse | None,
    named: Callable[[str], str],
) -> ModelContent:
    """The content of a request and, unless it failed, of its response. `named` gives the platform's name of a tool."""
    return ModelContent(
        instructions=_instructions(messages, parameters),
        input=_converted(messages, named),
        output=_converted([response], named) if response else (),
    )


def _instructions(messages: list[ModelMessage], parameters: ModelRequestParameters) -> str:
    if parameters.instruction_parts:
        return "\n\n".join(part.content for part in parameters.instruction_parts)
    asked = (
        one.instructions for one in reversed(messages) if isinstance(one, ModelRequest) and one.instructions
    )
    return next(asked, "")


def _converted(messages: list[ModelMessage], named: Callable[[str], str]) -> list[dict[str, Any]]:
    return [
        {**message, "parts": [_part(part, named) for part in message["parts"]]}
        for message in _conversion().messages_to_otel_messages(messages)
    ]


def _part(part: Mapping[str, Any], named: Callable[[str], str]) -> dict[str, Any]:
    found = {_FIELDS.get(name, name): value for name, value in part.items()}
    found["type"] = _TYPES.get(found["type"], found["type"])
    if "name" in found:
        found["name"] = named(found["name"])
    return found


@cache
def _conversion() -> InstrumentationSettings:
    # Version 6 is the one with the roles of the conventions. Files are named, not copied.
    return InstrumentationSettings(version=6, include_binary_content=False)

"""Responses of models, put in order."""

from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelResponse, ModelResponsePart, TextPart, ToolCallPart

from orchestrator_services.models.names import allowed_name


def readable(response: ModelResponse, *, any_name: bool) -> ModelResponse:
    """The response as it can be kept and sent again: each call has an id and, unless `any_name`, a name that providers
    accept, and text is Unicode. Models write the platform's names of tools, which they read in data, or none."""
    parts = [_readable(part, any_name=any_name) for part in response.parts]
    return with_distinct_calls(replace(response, parts=parts))


def _readable(part: ModelResponsePart, *, any_name: bool) -> ModelResponsePart:
    match part:
        case ToolCallPart(tool_name=name):
            named = name if any_name and name else allowed_name(name) or "unknown"
            return replace(part, tool_name=named, args=_unicode(part.args))
        case TextPart(content=content):
            return replace(part, content=_unicode(content))
        case _:
            return part


def _unicode(content: Any) -> Any:
    """Half a surrogate pair is no text: JSON cannot hold it."""
    if isinstance(content, str):
        return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(content, dict):
        return {_unicode(key): _unicode(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_unicode(value) for value in content]
    return content


def with_distinct_calls(response: ModelResponse) -> ModelResponse:
    """The response, in which no two calls have the same id and none has an empty one: answers find their call by it.
    Some servers number the calls of a response by the tool's name, or not at all."""
    seen: set[str] = set()
    parts: list[ModelResponsePart] = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            part = replace(part, tool_call_id=_distinct(part.tool_call_id, seen))
            seen.add(part.tool_call_id)
        parts.append(part)
    return replace(response, parts=parts)


def _distinct(call_id: str, seen: set[str]) -> str:
    base = call_id or "call"
    found, number = base, 1
    while found in seen:
        number += 1
        found = f"{base}-{number}"
    return found

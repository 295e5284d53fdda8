"""Responses of models, put in order."""

from dataclasses import replace

from pydantic_ai.messages import ModelResponse, ModelResponsePart, ToolCallPart


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

"""Responses of models, put in order."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from pydantic_ai.messages import ModelResponse, ModelResponsePart, ToolCallPart

from orchestrator_services.models.names import allowed_name


def readable(response: ModelResponse, *, any_name: bool) -> ModelResponse:
    """The response as it can be kept and sent again: each call has an id and, unless `any_name`, a name that providers
    accept, and text is Unicode. Models write the platform's names of tools, which they read in data, or none."""
    text: ModelResponse = _unicode(response)
    parts = [_named(part, any_name=any_name) for part in text.parts]
    return with_distinct_calls(replace(text, parts=parts))


def _named(part: ModelResponsePart, *, any_name: bool) -> ModelResponsePart:
    # The library's own kinds of calls have names that it knows.
    if type(part) is ToolCallPart:
        call: Any = part
        name = call.tool_name if any_name else allowed_name(call.tool_name)
        renamed: ModelResponsePart = replace(call, tool_name=name or "unknown")
        return renamed
    return part


def _unicode(content: Any) -> Any:
    """The same with all of its texts as Unicode, wherever they are: half a surrogate pair is no text, and JSON cannot
    hold it."""
    if isinstance(content, str):
        return (
            content
            if content.isascii()
            else content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(content, dict):
        return {_unicode(key): _unicode(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(map(_unicode, content))
    if is_dataclass(content) and not isinstance(content, type):
        found = {one.name: getattr(content, one.name) for one in fields(content) if one.init}
        mended = {name: new for name, old in found.items() if (new := _unicode(old)) != old}
        return replace(content, **mended) if mended else content
    return content


def with_distinct_calls(response: ModelResponse) -> ModelResponse:
    """The response, in which no two calls have the same id and none has an empty one: answers find their call by it.
    Some servers number the calls of a response by the tool's name, or not at all."""
    distinct = _Distinct()
    parts: list[ModelResponsePart] = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            part = replace(part, tool_call_id=distinct(part.tool_call_id))
        parts.append(part)
    return replace(response, parts=parts)


class _Distinct:
    """Gives each call an id of its own: its own, or that with the next number."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._last: dict[str, int] = {}
        """The last number behind each id: a response may have thousands of calls with the same one."""

    def __call__(self, call_id: str) -> str:
        base = call_id or "call"
        found, number = base, self._last.get(base, 1)
        while found in self._seen:
            number += 1
            found = f"{base}-{number}"
        self._last[base] = number
        self._seen.add(found)
        return found

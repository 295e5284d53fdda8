"""Replies in the form of the protocol: one body, or chunks of a stream."""

from collections.abc import Iterator
from typing import Any

from tests.support.model_server.replies import Message
from tests.support.model_server.requests import Request
from tests.support.model_server.usage import Usage

_CREATED = 1_700_000_000
"""Always the same, so that a request that is sent again gets the same bytes."""
_PIECE = 12
"""Characters of text or arguments in a chunk."""


def whole_body(request: Request, message: Message, usage: Usage) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": message.body(),
        "finish_reason": message.finish_reason,
        "logprobs": None,
    }
    return {**_head(request, "chat.completion"), "choices": [choice], "usage": usage.body()}


def chunks(request: Request, message: Message, usage: Usage) -> Iterator[dict[str, Any]]:
    """The stream: the role, text, each call in turn, the reason of the end, and usage if it is asked for."""
    head = _head(request, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(message.text):
        yield chunk({"content": piece})
    for piece in _pieces(message.refusal):
        yield chunk({"refusal": piece})
    for index, call in enumerate(message.calls):
        opened = {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": ""}}
        yield chunk({"tool_calls": [{"index": index, **opened}]})
        for piece in _pieces(call.arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, message.finish_reason)
    if request.wants_usage_in_stream:
        yield {**head, "choices": [], "usage": usage.body()}


def _head(request: Request, kind: str) -> dict[str, Any]:
    name = f"chatcmpl-{request.conversation}-{request.turn}"
    return {"id": name, "object": kind, "created": _CREATED, "model": request.model}


def _pieces(text: str | None) -> Iterator[str]:
    for start in range(0, len(text or ""), _PIECE):
        yield (text or "")[start : start + _PIECE]

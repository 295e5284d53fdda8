"""What a model says: the language of scripts, and the message that a reply becomes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tests.support.model_server.faults import Fault, Refusal
from tests.support.model_server.requests import Request
from tests.support.model_server.usage import BYTES_A_TOKEN

_OUTPUT_TOOL = "final_result"
"""How pydantic-ai names the tool by which structured output is returned; of several, each name begins so."""


@dataclass(frozen=True, slots=True)
class Say:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. Arguments that are text are sent as they are, valid JSON or not."""

    tool: str
    arguments: Mapping[str, Any] | str = "{}"


@dataclass(frozen=True, slots=True)
class Output:
    """Structured output, in the way that the request asks for: by its output tool, or as JSON text."""

    value: Any


@dataclass(frozen=True, slots=True)
class ContentRefused:
    """The model refuses to write about this."""

    text: str = "I cannot help with that."


Part: TypeAlias = Say | Call | Output | ContentRefused
Spoken: TypeAlias = Part | Sequence[Part]


@dataclass(frozen=True, slots=True, init=False)
class First:
    """Faults that befall the first times that a request comes, one each; from then on it gets the reply."""

    faults: tuple[Fault, ...]
    then: Spoken

    def __init__(self, *faults: Fault, then: Spoken) -> None:
        object.__setattr__(self, "faults", faults)
        object.__setattr__(self, "then", then)


Reply: TypeAlias = Spoken | First | Refusal
Script: TypeAlias = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    tool: str
    arguments: str

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.tool, "arguments": self.arguments},
        }


@dataclass(frozen=True, slots=True)
class Message:
    """What a reply says, in the protocol's terms."""

    text: str | None
    calls: tuple[ToolCall, ...]
    refusal: str | None
    finish_reason: str

    @property
    def length(self) -> int:
        """Bytes of what the model wrote: text, names of tools, and arguments."""
        written = [self.text or "", self.refusal or "", *(call.tool + call.arguments for call in self.calls)]
        return len("".join(written).encode())

    @property
    def tokens(self) -> int:
        return self.length // BYTES_A_TOKEN

    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        if self.calls:
            said["tool_calls"] = [call.body() for call in self.calls]
        return said


def message(request: Request, spoken: Spoken) -> Message:
    """The message that these parts make, no longer than the request allows."""
    parts = spoken if isinstance(spoken, Sequence) else [spoken]
    written = [_native(request, part) for part in parts]
    text = "".join(part.text for part in written if isinstance(part, Say)) or None
    calls = tuple(
        ToolCall(_call_id(request, number), part.tool, _arguments(part))
        for number, part in enumerate(part for part in written if isinstance(part, Call))
    )
    refusal = next((part.text for part in written if isinstance(part, ContentRefused)), None)
    reason = "content_filter" if refusal else "tool_calls" if calls else "stop"
    return _cut(Message(text, calls, refusal, reason), request.most_tokens)


def _native(request: Request, part: Part) -> Say | Call | ContentRefused:
    """The part, with output written in the way that the request asks for."""
    if not isinstance(part, Output):
        return part
    tool = next((name for name in request.tools if name.startswith(_OUTPUT_TOOL)), None)
    asks_for_text = request.response_format is not None or tool is None
    return Say(json.dumps(part.value)) if asks_for_text else Call(str(tool), part.value)


def _arguments(call: Call) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)


def _call_id(request: Request, number: int) -> str:
    """The same whenever the request comes, another in each turn."""
    named = f"{request.conversation}/{request.turn}/{number}"
    return f"call_{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _cut(whole: Message, most_tokens: int | None) -> Message:
    """The message, shortened at its end until it has at most so many tokens."""
    if most_tokens is None or whole.tokens <= most_tokens:
        return whole
    short = replace(whole, finish_reason="length")
    while (excess := short.length - most_tokens * BYTES_A_TOKEN) > 0 and (short.calls or short.text):
        if not short.calls:
            short = replace(short, text=(short.text or "")[:-excess] or None)
        elif arguments := short.calls[-1].arguments:
            last = replace(short.calls[-1], arguments=arguments[:-excess])
            short = replace(short, calls=(*short.calls[:-1], last))
        else:
            short = replace(short, calls=short.calls[:-1])
    return short

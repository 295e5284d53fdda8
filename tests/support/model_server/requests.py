"""A request as scripts see it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.support.model_server.usage import tokens


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call came to, as the model is shown it."""

    tool: str
    id: str
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Request:
    """A chat completion that is asked for.

    A reply may depend on all of it but nothing else, so that a request that is sent again gets the same reply.
    """

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    """By names in lower case."""

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body["messages"])

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def wants_usage_in_stream(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def most_tokens(self) -> int | None:
        """How long the reply may be; a longer one is cut short."""
        limit = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return None if limit is None else int(limit)

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """Each tool's function: name, description, and parameters as a JSON Schema."""
        return {each["function"]["name"]: each["function"] for each in self.body.get("tools") or ()}

    @property
    def response_format(self) -> dict[str, Any] | None:
        return self.body.get("response_format")

    @property
    def system(self) -> str:
        """The instructions."""
        return "\n\n".join(_text(each) for each in self.messages if each["role"] in ("system", "developer"))

    @cached_property
    def task(self) -> str:
        """The first user message."""
        return next((_text(each) for each in self.messages if each["role"] == "user"), "")

    @cached_property
    def conversation(self) -> str:
        """The key of the conversation: requests with the same task and model have the same."""
        return hashlib.sha256(f"{self.model}\n{self.task}".encode()).hexdigest()[:16]

    @property
    def turn(self) -> int:
        """How often the model has spoken in this conversation, from 0."""
        return sum(each["role"] == "assistant" for each in self.messages)

    @property
    def last(self) -> str:
        """The last message, whoever says it."""
        return _text(self.messages[-1])

    @property
    def results(self) -> list[ToolResult]:
        """What the tools of the last turn returned, in the order of the messages."""
        spoken = max((at for at, each in enumerate(self.messages) if each["role"] == "assistant"), default=-1)
        return self._results_in(self.messages[spoken + 1 :])

    @property
    def all_results(self) -> list[ToolResult]:
        """What the tools of all turns returned."""
        return self._results_in(self.messages)

    @property
    def prompt_tokens(self) -> int:
        return tokens(self.messages)

    def _results_in(self, messages: list[dict[str, Any]]) -> list[ToolResult]:
        names = {
            call["id"]: call["function"]["name"]
            for each in self.messages
            for call in each.get("tool_calls") or ()
        }
        return [
            ToolResult(names.get(each["tool_call_id"], ""), each["tool_call_id"], _text(each))
            for each in messages
            if each["role"] == "tool"
        ]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""

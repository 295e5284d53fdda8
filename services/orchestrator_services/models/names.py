"""Names of tools, as models write them: most providers allow letters, digits, `_` and `-`, at most 64 of them."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import is_
from typing import Final, TypeVar

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolCallPart, ToolReturnPart

_FORBIDDEN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST: Final = 64
_TAKEN: Final = frozenset({"final_result"})
"""Names that the client's library gives to tools of its own."""

Part = TypeVar("Part")


def allowed_name(tool: str) -> str:
    """The name with what most providers allow in its place."""
    return _FORBIDDEN.sub("_", tool)[:_LONGEST]


class ToolNames:
    """The names of a platform's tools and those that a model uses, both ways.

    A name that providers allow stays as it is. In others each forbidden character becomes `_`; if that is the name
    of another tool or too long, it ends with a hash of the tool's name. So the same tools always have the same
    names, in whatever order they come. Conversations are kept with the names of the platform.
    """

    def __init__(self, tools: Iterable[str]) -> None:
        tools = frozenset(tools)
        shortened = {tool: _FORBIDDEN.sub("_", tool) for tool in tools}
        uses = Counter([*shortened.values(), *_TAKEN])
        self._of_model = {
            tool: name if _allowed(tool) else _distinct(tool, name, uses[name])
            for tool, name in shortened.items()
        }
        self._of_platform = {name: tool for tool, name in self._of_model.items()}

    def to_model(self, tool: str) -> str:
        return self._of_model.get(tool) or allowed_name(tool) or "unknown"

    def to_platform(self, name: str) -> str:
        """The tool; a name that is no tool's stays as it is."""
        return self._of_platform.get(name, name)

    def history_for_model(self, messages: Iterable[ModelMessage]) -> list[ModelMessage]:
        return [_renamed(message, self.to_model) for message in messages]

    def history_of_platform(self, messages: Iterable[ModelMessage]) -> list[ModelMessage]:
        return [_renamed(message, self.to_platform) for message in messages]


class SameNames(ToolNames):
    """For models that take any name."""

    def __init__(self) -> None:
        super().__init__(())

    def to_model(self, tool: str) -> str:
        return tool


def _allowed(tool: str) -> bool:
    return len(tool) <= _LONGEST and tool not in _TAKEN and not _FORBIDDEN.search(tool)


def _distinct(tool: str, name: str, uses: int) -> str:
    if uses == 1 and len(name) <= _LONGEST:
        return name
    suffix = "_" + hashlib.sha256(tool.encode()).hexdigest()[:8]
    return name[: _LONGEST - len(suffix)] + suffix


def _renamed(message: ModelMessage, rename: Callable[[str], str]) -> ModelMessage:
    """The message itself where nothing in it has another name: conversations are long."""
    if isinstance(message, ModelRequest):
        asked = [_part_renamed(part, rename) for part in message.parts]
        return message if _same(asked, message.parts) else replace(message, parts=asked)
    said = [_part_renamed(part, rename) for part in message.parts]
    return message if _same(said, message.parts) else replace(message, parts=said)


def _same(parts: Sequence[object], others: Sequence[object]) -> bool:
    return all(map(is_, parts, others))


def _part_renamed(part: Part, rename: Callable[[str], str]) -> Part:
    if isinstance(part, ToolCallPart | ToolReturnPart) and (name := rename(part.tool_name)) != part.tool_name:
        return replace(part, tool_name=name)
    return part

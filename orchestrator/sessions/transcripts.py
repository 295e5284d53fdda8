"""What is said in a conversation, for people: who speaks, and what.

The planners that come with the platform write the messages of pydantic-ai as JSON: requests and responses, made of
parts. Their form is read here without that library, and any other message is shown as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec

from orchestrator.messages.types import Value

REFERENCE: Final = "$value"
"""Key of an object that stands for a value: its place, size and hash. The step and the tool that made it may stand
beside it."""

INLINE: Final = "$inline"
"""Key of an object that stands for an output, and holds it."""


class Kind(Enum):
    """What is said: words, the arguments of a tool call, or data that somebody supplied."""

    WORDS = auto()
    ARGUMENTS = auto()
    DATA = auto()


@dataclass(frozen=True)
class Said:
    """One thing that is said. `content` is text or JSON data."""

    speaker: str
    """Who speaks, as in `user`, `model`, `model calls sql.query`, `sql.query returns`."""
    content: Any
    kind: Kind = Kind.WORDS


def reference_in(content: Any) -> Value | None:
    """The value that an object stands for; None for any other content."""
    found = content.get(REFERENCE) if isinstance(content, dict) else None
    if not isinstance(found, dict):
        return None
    try:
        return msgspec.convert(found, Value)
    except msgspec.ValidationError:
        return None


def resolved(content: Any, load: Callable[[Value], Any]) -> Any:
    """The content, with what `load` returns added as `content` to each object in it that stands for a value."""
    if (value := reference_in(content)) is not None:
        return {**content, "content": load(value)}
    match content:
        case dict():
            return {name: resolved(item, load) for name, item in content.items()}
        case list() | tuple():
            return [resolved(item, load) for item in content]
        case _:
            return content


class Transcript:
    """Reads the messages of one conversation in their order. Tool calls that are numbered by their planner get
    short numbers of their own, from 1, which their outputs name too."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        """Of the last call with an id: some servers use the same ids in every response."""
        self._calls = 0
        self._instructions = ""

    def said_in(self, messages: Iterable[Any]) -> Iterator[Said]:
        """What these messages say."""
        for message in messages:
            if is_made_of_parts(message):
                yield from self._instructed(message)
                said = (self._said(part, message["kind"]) for part in message["parts"])
                # What a provider keeps to itself, such as its model's thinking, has no text.
                yield from (
                    one for one in said if one.content not in (None, "") or one.kind is not Kind.WORDS
                )
            elif is_note(message):
                yield Said(f"note, {message['kind']}", _in_lines(message), Kind.DATA)
            else:
                yield Said("message", message, Kind.DATA)

    def _instructed(self, message: Mapping[str, Any]) -> Iterator[Said]:
        """Every request may carry the instructions: they are shown where they change."""
        instructions = message.get("instructions") or ""
        if instructions and instructions != self._instructions:
            self._instructions = instructions
            yield Said("system", instructions)

    def _said(self, part: Mapping[str, Any], kind: str) -> Said:
        content = part.get("content")
        match part.get("part_kind"):
            case "system-prompt":
                return Said("system", content)
            case "user-prompt":
                return Said("user", _in_words(content))
            case "text":
                return Said("model", content)
            case "thinking":
                return Said("model thinks", content)
            case "tool-call" | "builtin-tool-call":
                return Said(f"model calls {self._called(part)}", _arguments(part.get("args")), Kind.ARGUMENTS)
            case "tool-return" | "builtin-tool-return":
                outcome = _OUTCOMES.get(part.get("outcome") or "", "returns")
                return Said(f"{self._name(part)} {outcome}", _without_place(content), Kind.DATA)
            case "retry-prompt" if part.get("tool_name"):
                return Said(f"{self._name(part)} is refused", content, Kind.DATA)
            case "retry-prompt" | "retry-feedback":
                return Said("user asks again", content, Kind.DATA)
            case other:
                speaker = "model" if kind == "response" else "user"
                return Said(f"{speaker}, {other or 'something'}", _without_bytes(part), Kind.DATA)

    def _called(self, part: Mapping[str, Any]) -> str:
        if call := part.get("tool_call_id"):
            self._calls += 1
            self._numbers[str(call)] = self._calls
        return self._name(part)

    def _name(self, part: Mapping[str, Any]) -> str:
        tool = part.get("tool_name") or "a tool"
        number = self._numbers.get(str(part.get("tool_call_id")))
        return f"{tool} #{number}" if number else str(tool)


_OUTCOMES: Final = {"retried": "is refused", "failed": "fails", "denied": "is denied"}
"""Of a tool call, where it is not what it returned."""


def is_made_of_parts(message: Any) -> bool:
    """Whether a message has the form of pydantic-ai."""
    if not isinstance(message, dict) or message.get("kind") not in ("request", "response"):
        return False
    parts = message.get("parts")
    return isinstance(parts, list | tuple) and all(isinstance(part, dict) for part in parts)


def is_note(message: Any) -> bool:
    """Whether a planner has noted it for itself, as the planners of the platform do."""
    if not isinstance(message, dict) or "parts" in message:
        return False
    kind = message.get("kind")
    return isinstance(kind, str) and kind not in ("request", "response")


def _arguments(given: Any) -> Any:
    """Models write arguments as JSON text, which is cut short by some."""
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return given


def _in_words(content: Any) -> Any:
    """What a user says: text, or a list of texts, links and files."""
    if not isinstance(content, list):
        return content
    return "\n".join(item if isinstance(item, str) else _as_line(item) for item in content)


def _as_line(item: Any) -> str:
    if isinstance(item, dict) and (INLINE in item or reference_in(item) is not None):
        return f"output of step {item.get('step') or '?'}: {_output(item)}"
    return _as_text(_without_bytes(item))


def _output(item: Mapping[str, Any]) -> str:
    """An output that stands in words: itself, where it is in the conversation or was loaded, or where it is."""
    value = reference_in(item)
    if value is None or "content" in item:
        return _as_text(item[INLINE] if value is None else item["content"])
    return ", ".join(part for part in (f"{value.size:,} bytes of {value.media_type}", value.uri) if part)


def _without_place(content: Any) -> Any:
    """An output that is in the conversation, without the step and the tool that it came from."""
    return content[INLINE] if isinstance(content, dict) and INLINE in content else content


def _in_lines(note: Mapping[str, Any]) -> str:
    """What a planner has noted for itself: a line for each thing, short ones first."""
    fields = [(name, item) for name, item in note.items() if name != "kind"]
    fields.sort(key=lambda field: isinstance(field[1], dict | list))
    return "\n".join(f"{name}: {_as_text(item)}" for name, item in fields)


def _as_text(content: Any) -> str:
    match content:
        case str():
            return content
        case bool():
            return "yes" if content else "no"
        case _:
            return msgspec.json.encode(content).decode()


def _without_bytes(content: Any) -> Any:
    """The content with the size of a file instead of its bytes, which are in base64."""
    if not isinstance(content, dict):
        return content
    shown = {name: _without_bytes(item) for name, item in content.items() if item is not None}
    if isinstance(data := shown.get("data"), str) and "media_type" in shown:
        shown["data"] = f"{len(data) * 3 // 4:,} bytes"
    return shown

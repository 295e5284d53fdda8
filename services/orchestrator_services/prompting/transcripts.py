"""Conversations of planners, as other models read them: what was said, asked of tools, and returned."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator.sdk import Values
from orchestrator_services.prompting.data import data, json_text
from orchestrator_services.prompting.outputs import Reference, rendered

MOST_SHOWN: Final = 60_000
"""Characters of a conversation that are shown: its end, which led to the result."""


async def transcript(messages: Sequence[Any], values: Values, most: int = MOST_SHOWN) -> str:
    """The messages of a conversation as data, outputs of tools included; empty if there are none.

    Raises `ContractError` where an output is missing in the value store.
    """
    shown: list[str] = []
    room = most
    for message in reversed(messages):
        text = "\n".join([line async for line in _lines(message, values)])
        if len(text) > room:
            left_out = len(messages) - len(shown)
            shown.append(f"({left_out} earlier messages are left out)")
            break
        room -= len(text)
        shown.append(text)
    return data("\n".join(text for text in reversed(shown) if text), name="conversation") if shown else ""


async def _lines(message: Any, values: Values) -> AsyncIterator[str]:
    """What a message says. One of a planner that has a form of its own is shown as it is."""
    parts = message.get("parts") if isinstance(message, Mapping) else None
    if not isinstance(parts, Sequence):
        yield json_text(message)
        return
    for part in parts:
        reference = Reference.of(part.get("content"))
        if reference is not None:
            output = await values.load(reference.value)
            yield f"returned: {rendered(output, reference.step, reference.tool)}"
        else:
            for line in _line(part):
                yield line


def _line(part: Mapping[str, Any]) -> Iterator[str]:
    content = part.get("content")
    match part.get("part_kind"):
        case "user-prompt":
            yield f"task: {content}"
        case "text" if content:
            yield f"said: {content}"
        case "tool-call":
            yield f"asked {part.get('tool_name')} for: {_text(part.get('args'))}"
        case "tool-return":
            yield f"returned: {_text(content)}"
        case _:
            # How it was asked again, and what it thought to itself, is no evidence.
            return


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json_text(content)

"""Conversations of planners, as other models read them: what was said, asked of tools, and returned."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator.sdk import Values
from orchestrator_services.prompting.data import as_text, data, json_text
from orchestrator_services.prompting.outputs import Reference, shown_again

MOST_SHOWN: Final = 60_000
"""Characters of a conversation that are shown: its end, which led to the result."""


async def transcript(messages: Sequence[Any], values: Values, most: int = MOST_SHOWN) -> str:
    """The messages of a conversation as data, outputs of tools included; empty if there are none.

    Raises `ContractError` where an output is missing in the value store.
    """
    shown: list[str] = []
    room = most
    for message in reversed(messages):
        for line in reversed([line async for line in _lines(message, values)]):
            if room <= 0:
                break
            shown.append(line if len(line) <= room else f"{line[:room]} …")
            room -= len(line)
        if room <= 0:
            shown.append("(What came before is left out.)")
            break
    return data("\n".join(reversed(shown)), name="conversation") if shown else ""


async def _lines(message: Any, values: Values) -> AsyncIterator[str]:
    """What a message says. One of a planner that has a form of its own is shown as it is."""
    parts = message.get("parts") if isinstance(message, Mapping) else None
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        yield json_text(message)
        return
    for part in parts:
        content = part.get("content")
        if isinstance(content, list):
            for piece in content:
                yield f"was told: {(await shown_again(piece, values)).text}"
        elif Reference.of(content) is not None:
            yield f"returned: {(await shown_again(content, values)).text}"
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
            yield f"asked {part.get('tool_name')} for: {as_text(part.get('args'))}"
        case "tool-return":
            yield f"returned: {as_text(content)}"
        case _:
            # How it was asked again, and what it thought to itself, is no evidence.
            return

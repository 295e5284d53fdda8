"""Conversations as text: who says what, turn by turn."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli import times
from orchestrator.cli.output import write_fields, write_line
from orchestrator.sessions.summaries import spent
from orchestrator.sessions.transcripts import Kind, Said, Transcript, reference_in
from orchestrator.telemetry.plain_text import one_line

if TYPE_CHECKING:
    from orchestrator.messages.types import Value
    from orchestrator.operations.conversations import ShownConversation, ShownOpening, ShownTurn

MOST: Final = {Kind.WORDS: 2_000, Kind.ARGUMENTS: 200, Kind.DATA: 400}
"""Characters that are shown of one thing that is said, unless all of it is."""


def write_conversation(conversation: "ShownConversation", *, full: bool) -> None:
    """Writes one block for each turn. Without `full` long texts are cut."""
    opening = conversation.opening
    write_fields(
        [
            ("session", conversation.correlation_id),
            ("agent", conversation.agent),
            ("goal", conversation.goal),
            ("model", opening.model.name if opening.model else ""),
            ("after", f"event {conversation.sequence}"),
        ]
    )
    _write_block("opening", _opened(opening), full)
    transcript = Transcript()
    for turn in conversation.turns:
        _write_block(_heading(turn), transcript.said_in(turn.messages), full)


def _write_block(heading: str, lines: Iterator[Said], full: bool) -> None:
    said = list(lines)
    if not said:
        return
    write_line("")
    write_line(heading)
    for one in said:
        write_line(f"  {one_line(one.speaker)}: {_indented(_text(one, full))}")


def _opened(opening: "ShownOpening") -> Iterator[Said]:
    if opening.instructions is not None:
        yield Said("instructions", opening.instructions)
    for name, content in (
        ("examples", opening.examples),
        ("context", opening.context),
        ("memory", opening.memory),
    ):
        if content is not None:
            yield Said(name, content, Kind.DATA)


def _heading(turn: "ShownTurn") -> str:
    heading = f"turn {turn.turn}, plan {turn.revision}"
    if turn.planned_at is not None:
        heading += f", {times.shown_clock(turn.planned_at)}"
    used = spent(turn.used)
    return f"{heading}: {used}" if used else heading


def _text(said: Said, full: bool) -> str:
    value = reference_in(said.content)
    if value is not None and "content" not in said.content:
        return _reference(value, said.content)
    content = said.content["content"] if value is not None else said.content
    text = content if isinstance(content, str) else _as_json(content, full)
    most = len(text) if full else MOST[said.kind]
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters; --full shows all)"


def _reference(value: "Value", content: dict[str, Any]) -> str:
    step = content.get("step")
    parts = [
        f"{value.size:,} bytes of {value.media_type}",
        f"output of step {step}" if step else "",
        value.uri or "",
    ]
    return f"{', '.join(part for part in parts if part)} (--full shows it)"


def _as_json(content: Any, full: bool) -> str:
    import msgspec

    encoded = msgspec.json.encode(content)
    fits = len(encoded) <= MOST[Kind.ARGUMENTS] or not full
    return (encoded if fits else msgspec.json.format(encoded, indent=2)).decode()


def _indented(text: str) -> str:
    """The text with its lines after the first below what is said, not below who says it. Only line feeds end lines:
    what else may end one is shown as what it is."""
    first, *rest = text.removesuffix("\n").split("\n")
    return "\n".join([first, *(f"    {line}" if line else "" for line in rest)])

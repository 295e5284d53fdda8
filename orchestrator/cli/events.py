"""Events as lines of text."""

from typing import TYPE_CHECKING

from orchestrator.cli import times
from orchestrator.telemetry.plain_text import one_line

if TYPE_CHECKING:
    from orchestrator.messages.base import Event


def event_line(event: "Event") -> str:
    """Time of day, sequence number, type and summary of an event."""
    from orchestrator.sessions.timeline import entry_of

    entry = entry_of(event)
    number = "" if entry.sequence is None else f"#{entry.sequence}"
    return one_line(f"{times.shown_clock(entry.occurred_at)}  {number:>4}  {entry.type:<19}  {entry.summary}")

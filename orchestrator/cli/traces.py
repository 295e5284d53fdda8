"""Where a session's trace is looked at, for those who have said where: nothing is shown to the others."""

from typing import TYPE_CHECKING

from orchestrator.cli.output import write_note

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings


def traced(settings: "Settings", session: str) -> dict[str, str]:
    """What a document about the session has of its trace."""
    link = settings.trace_link(session)
    return {"trace_url": link} if link else {}


def note_trace(settings: "Settings", session: str) -> None:
    """The link on stderr: a pipe gets the session's id, or the result, alone."""
    if link := settings.trace_link(session):
        write_note(f"trace {link}")

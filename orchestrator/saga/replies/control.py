"""Taking in what users and operators ask of a session, even of one whose task is still on its way."""

from collections.abc import Iterable

from orchestrator.messages import commands, events
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def cancel_task(session: Session | None, command: commands.CancelTask, _now: int) -> Iterable[Draft]:
    """Asked twice is asked once. Whoever runs a call of the session may stop."""
    if session is not None and session.cancel is not None:
        return
    yield draft(events.CancelRequested, reason=command.reason or "cancelled by request")
    if session is not None and session.calls:
        yield draft(events.CallsVoided, calls=tuple(session.calls), reason="the session is being cancelled")

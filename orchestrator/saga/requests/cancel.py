"""Cancellation, also of a session whose task has not arrived yet."""

from collections.abc import Iterable
from typing import Final

from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import avro_name
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session

LONGEST_REASON: Final = 1_000
"""Characters of the reason that are kept."""


def cancel_task(session: Session | None, command: commands.CancelTask, _now: int) -> Iterable[Draft]:
    """A second cancel changes nothing. Services that work for the session may stop."""
    if session is not None and session.cancel is not None:
        return
    # Sessions that are cancelled wait in memory, also before their task has come.
    yield draft(events.CancelRequested, reason=command.reason[:LONGEST_REASON] or "cancelled by request")
    if session is not None and session.calls:
        yield draft(events.CallsVoided, calls=tuple(session.calls), reason="the session is being cancelled")


def task_missing(session: Session) -> Draft:
    """Refuses the request that opened a session whose task did not arrive. Only a cancel opens one."""
    return draft(
        events.RequestRefused,
        request_type=avro_name(commands.CancelTask),
        reason=f"there is no session {session.correlation_id}",
    )

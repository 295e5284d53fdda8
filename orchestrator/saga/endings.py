"""How sessions end and settle, as events. To settle is to end or to be escalated."""

from collections.abc import Mapping
from typing import Final

from orchestrator.messages import events
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.saga.state import Outcome

OUTCOMES: Final[Mapping[type[SessionEvent], Outcome]] = {
    events.TaskCompleted: Outcome.COMPLETED,
    events.TaskFailed: Outcome.FAILED,
    events.TaskCancelled: Outcome.CANCELLED,
    events.TaskRefused: Outcome.REFUSED,
}
"""The outcome of a session, by the event that ended it."""

ENDING: Final[tuple[type[SessionEvent], ...]] = tuple(OUTCOMES)
"""Events after which a session is over, regardless of its state before."""

SETTLING: Final[tuple[type[SessionEvent], ...]] = (*ENDING, events.TaskEscalated)
"""Events after which a session is over, or waits for a person."""


def settles(event: Event, *, has_task: bool) -> bool:
    """Whether a session settles with this event. A refused request ends only a session that has no task."""
    if isinstance(event, events.RequestRefused):
        return not has_task
    return isinstance(event, SETTLING)

"""What happened in a session so far, as plug-ins read it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.errors import ConfigurationError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.events import PlanAccepted
from orchestrator.messages.types import Plan


@dataclass(frozen=True)
class TimelineEntry:
    """One event, for people. `sequence` is None for events of services; `occurred_at` is Unix time in
    microseconds."""

    sequence: int | None
    type: str
    """Short name of the event, such as `StepSucceeded`."""
    occurred_at: int
    summary: str
    """One line with steps, tools, reasons and figures, never with the content of a value."""
    step: str = ""
    """Id of the step that it is about; empty if it is about none."""


@dataclass(frozen=True)
class History:
    """A session up to a point in time. It does not change afterwards."""

    events: tuple[SessionEvent, ...]
    """The orchestrator's own events, by their numbers. They begin with number 1, unless the topic no longer retains
    it; none for a session that has not begun."""
    timeline: tuple[TimelineEntry, ...]
    """These and the events of services, none before its cause, as `orchestrator sessions show` lists them."""

    @property
    def plan(self) -> Plan | None:
        """The plan that was accepted last; None before the first."""
        accepted = (event.plan for event in reversed(self.events) if isinstance(event, PlanAccepted))
        return next(accepted, None)


ReadHistory: TypeAlias = Callable[[str], Awaitable[History]]
"""Reads a session by its correlation id. Raises `UnavailableError` if that cannot be done in time."""


async def no_history(_correlation_id: str) -> History:
    """Where nothing can be read. Raises `ConfigurationError`."""
    raise ConfigurationError(
        "the history of sessions cannot be read here: run the plug-in with `orchestrator run` or in a Harness, or "
        "give the Runtime that you make a `history`"
    )

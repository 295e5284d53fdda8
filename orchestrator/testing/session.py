"""A session, as a test sees it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.messages.base import Event, Message, SessionEvent
from orchestrator.messages.events import MessageDeadLettered, StepSucceeded
from orchestrator.messages.types import Failure, Usage
from orchestrator.messages.values import read_json
from orchestrator.saga import Outcome, Phase, Session
from orchestrator.sdk import TimelineEntry
from orchestrator.sessions.timeline import entry_of
from orchestrator.testing.memory import MemoryValues

M = TypeVar("M", bound=Message)


class HarnessSession:
    """A view of a session. Every property shows it as it is now."""

    def __init__(
        self,
        correlation_id: str,
        state: Callable[[], Session],
        messages: Sequence[Message],
        values: MemoryValues,
    ) -> None:
        self.correlation_id = correlation_id
        self._state = state
        self._messages = messages
        self._values = values

    def __repr__(self) -> str:
        """How it stands and why, for a test that expects something else of it."""
        last = self.timeline[-1].summary if self.events else "nothing was written"
        stands = (self.outcome or ("escalated" if self.failure else f"not ended, {self.phase}")).lower()
        return f"<session {self.correlation_id}: {stands}{f': {self.reason}' if self.reason else ''}; last: {last}>"

    @property
    def state(self) -> Session:
        """The saga's state."""
        return self._state()

    @property
    def phase(self) -> Phase:
        return self.state.phase

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None before its end, also while it is escalated."""
        return self.state.outcome

    @property
    def settled(self) -> bool:
        """Whether it has ended or is escalated."""
        return self.state.settled

    @property
    def result(self) -> Any:
        """JSON content of the task's result; None without a result."""
        return self._content(self.state.result)

    @property
    def outputs(self) -> dict[str, Any]:
        """JSON content of the output of each step of the present plan."""
        done = (event for event in self.history if isinstance(event, StepSucceeded))
        return {
            event.call.step_id: self._content(event.output)
            for event in done
            if event.call.revision == self.state.revision
        }

    @property
    def failure(self) -> Failure | None:
        """Why it was refused, failed or was escalated; None if it was not."""
        return self.state.escalated or self.state.give_up

    @property
    def reason(self) -> str:
        """Why it was refused, failed, escalated or cancelled, in words; otherwise empty."""
        failure = self.failure
        return failure.message if failure else self.state.cancel or ""

    @property
    def usage(self) -> Usage:
        return self.state.used

    @property
    def messages(self) -> list[Message]:
        """All its messages, in order: commands, events, dead letters."""
        return [
            message
            for message in self._messages
            if getattr(message, "correlation_id", None) == self.correlation_id
        ]

    @property
    def events(self) -> list[Event]:
        """The orchestrator's and the services' events, in order."""
        return [message for message in self.messages if isinstance(message, Event)]

    @property
    def history(self) -> list[SessionEvent]:
        """The orchestrator's own events, in order."""
        return [message for message in self.messages if isinstance(message, SessionEvent)]

    @property
    def dead_letters(self) -> list[MessageDeadLettered]:
        return self.of(MessageDeadLettered)

    @property
    def timeline(self) -> list[TimelineEntry]:
        """Its events for people, in the order in which they were written."""
        return [entry_of(event) for event in self.events]

    def of(self, kind: type[M]) -> list[M]:
        """Its messages of one type, in order."""
        return [message for message in self.messages if isinstance(message, kind)]

    def _content(self, value: Any) -> Any:
        return None if value is None else read_json(self._values.inlined(value))

"""A session as a test looks at it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.messages.base import Event, Message, SessionEvent
from orchestrator.messages.events import MessageDeadLettered, StepSucceeded
from orchestrator.messages.types import Failure, Usage
from orchestrator.messages.values import read_json
from orchestrator.saga import Outcome, Phase, Session
from orchestrator.sessions.timeline import TimelineEntry, entry_of
from orchestrator.testing.memory import MemoryValues

M = TypeVar("M", bound=Message)


class HarnessSession:
    """Looks at a session as it is now: ask again after the clock was moved."""

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

    @property
    def state(self) -> Session:
        """The saga's state."""
        return self._state()

    @property
    def phase(self) -> Phase:
        return self.state.phase

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it has not, also while it is parked."""
        return self.state.outcome

    @property
    def settled(self) -> bool:
        """Whether it has ended or waits for a person."""
        return self.state.settled

    @property
    def result(self) -> Any:
        """JSON content of the task's result; None where there is none."""
        return self._content(self.state.result)

    @property
    def outputs(self) -> dict[str, Any]:
        """JSON content of what each step of the present plan returned."""
        done = (event for event in self.history if isinstance(event, StepSucceeded))
        return {
            event.call.step_id: self._content(event.output)
            for event in done
            if event.call.revision == self.state.revision
        }

    @property
    def failure(self) -> Failure | None:
        """Why it was refused, failed or was escalated."""
        return self.state.escalated or self.state.give_up

    @property
    def reason(self) -> str:
        """Why it is as it is, in words; empty for a session that goes on or reached its goal."""
        failure = self.failure
        return failure.message if failure else self.state.cancel or ""

    @property
    def usage(self) -> Usage:
        return self.state.used

    @property
    def messages(self) -> list[Message]:
        """Everything that was written about it, in order: commands, events, dead letters."""
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
        """Its events for people, in the order in which they were written: the clock may stand still."""
        return [entry_of(event) for event in self.events]

    def of(self, kind: type[M]) -> list[M]:
        """Its messages of one type, in order."""
        return [message for message in self.messages if isinstance(message, kind)]

    def _content(self, value: Any) -> Any:
        return None if value is None else read_json(self._values.inlined(value))

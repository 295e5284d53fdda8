"""A scenario: one session that handles inputs, without topics, services or a clock of its own.

An input is written as a sentence, a function of the scenario: it replies to the call that is open when its turn comes.
An output is named by its type and what it is about: `PlanStepReady a`, `PlanStepReady a #2` for the second
attempt.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, assert_never

from orchestrator.messages import events, identity
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.call_kinds import call_of, purpose_of
from orchestrator.messages.types import Call, CallKind
from orchestrator.saga import Input, Session, TimePassed, decide, evolve, next_due
from orchestrator.sdk.durations import milliseconds

SESSION: Final = identity.derived_id("test", "session")
"""The id of every scenario's session."""
START: Final = 1_790_000_000_000_000
"""Unix time in microseconds: 2026-09-21T14:13:20Z."""
SECOND: Final = 1_000_000
NO_CALL: Final = Call(call_id="none", kind=CallKind.UNKNOWN, due_at=0)

Sentence: TypeAlias = "Callable[[Scenario], Input]"


class Scenario:
    """A session that handles inputs. Every decision is checked to be the fold of its own events.

    With `strict`, a sentence that replies to a call raises `AssertionError` where no such call is open. Without, it
    replies to the last such call, or `NO_CALL`: what the session then does with a late reply can be seen.
    """

    def __init__(self, *, strict: bool = True) -> None:
        self.now = START
        """Unix time in microseconds. A test may move it on."""
        self.session: Session | None = None
        self.history: list[SessionEvent] = []
        self.outputs: tuple[Message, ...] = ()
        """Of the last `when` or `after`."""
        self._strict = strict
        self._calls: list[Call] = []
        """Calls that outputs have named, in order."""
        self._ids = 0

    def when(self, *inputs: Sentence) -> "Scenario":
        """The session handles these, one after the other."""
        outputs: tuple[Message, ...] = ()
        for sentence in inputs:
            outputs += self.handle(sentence(self))
        self.outputs = outputs
        return self

    def after(self, duration: str) -> "Scenario":
        """Moves the clock on, and lets the session handle that this time has passed."""
        self.now += milliseconds(duration) * 1_000
        self.outputs = self.handle(self.time_passed())
        return self

    def handle(self, input: Input) -> tuple[Message, ...]:
        """What the session writes because of an input, now."""
        decision = decide(self.session, input, SESSION, self.now)
        replayed = self.session
        for output in decision.outputs:
            if isinstance(output, SessionEvent):
                replayed = evolve(replayed, output)
                self.history.append(output)
            if call := call_of(output):
                self._calls.append(call)
        if replayed != decision.session:
            raise AssertionError("the session is not the fold of its own events")
        self.session = decision.session
        return decision.outputs

    def then(self, *expected: str) -> "Scenario":
        """Checks what was written since the last `when` or `after`, in order."""
        written = [name_of(output) for output in self.outputs]
        if written != list(expected):
            raise AssertionError(f"the session wrote {written}, expected {list(expected)}")
        return self

    def then_nothing(self) -> "Scenario":
        return self.then()

    @property
    def state(self) -> Session:
        if self.session is None:
            raise AssertionError("the session has not begun")
        return self.session

    def prepared(self, sentence: Sentence) -> Sentence:
        """What the sentence says now, to be said later or twice."""
        made = sentence(self)
        return lambda _scenario: made

    @property
    def due_in(self) -> float | None:
        """Seconds until something is due without any input."""
        due = next_due(self.state)
        return None if due is None else (due - self.now) / SECOND

    def wrote(self, kind: type[Any]) -> Any:
        """The last output of a type since the last `when` or `after`."""
        return [output for output in self.outputs if isinstance(output, kind)][-1]

    def open_calls(self, kind: CallKind, step_id: str | None = None) -> list[Call]:
        """The open calls of a kind: of a step, of a reviewer or, with None, of any."""
        found = self.session.waiting_for(kind) if self.session else ()
        return [call for call in found if step_id is None or call.step_id == step_id]

    def call(self, kind: CallKind, step_id: str | None = None) -> Call:
        """The call that a reply of this kind belongs to."""
        if found := self.open_calls(kind, step_id):
            return found[0]
        if self._strict:
            raise AssertionError(f"no open call waits for {kind} {step_id or ''}")
        closed = [call for call in self._calls if kind in (CallKind.RECOVERY, purpose_of(call))]
        return closed[-1] if closed else NO_CALL

    def time_passed(self) -> TimePassed:
        """The input that says what time it is now."""
        return TimePassed(message_id=self.new_id(), until=self.now)

    def new_id(self) -> str:
        self._ids += 1
        return identity.derived_id("test", "told", self._ids)

    def event(self, kind: type[Any], **fields: Any) -> Any:
        """A service's event about this session."""
        return kind(event_id=self.new_id(), correlation_id=SESSION, occurred_at=self.now, **fields)


def given(*inputs: Sentence) -> Scenario:
    """A session that has handled these."""
    return Scenario().when(*inputs)


def name_of(message: Message) -> str:
    """Type and subject of a message."""
    call = call_of(message)
    if call is None:
        return type(message).__name__
    waited = f" {call.kind}" if isinstance(message, events.CallTimedOut) else ""
    again = f" #{call.attempt}" if call.attempt > 1 else ""
    return f"{type(message).__name__}{waited} {_subject(call)}{again}"


def _subject(call: Call) -> str:
    match purpose_of(call):
        case CallKind.PLAN:
            return f"plan {call.revision}"
        case CallKind.REVIEW | CallKind.SELECTION | CallKind.TOOL | CallKind.EVALUATION:
            return call.step_id
        case CallKind.RECOVERY | CallKind.UNKNOWN:
            return call.call_id
        case kind:
            assert_never(kind)

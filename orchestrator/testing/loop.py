"""The orchestrator's loop in memory: any number of sessions, fed with records and with the time.

A `Scenario` is one session whose inputs a test states; this one routes records that real services wrote.
"""

from collections.abc import Callable

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.engine.claims import MATCH, foreign
from orchestrator.engine.quarantine import record_dead_letter
from orchestrator.engine.routing import Routed, Router
from orchestrator.messages import identity
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import Input, Session, TimePassed, decide, evolve, next_due

SOURCE = "/orchestrator/0"


class MemoryLoop:
    """Every session's state. `publish` gets each output, `profile` finds an agent.

    It also folds the history as it was encoded and decoded, and raises `AssertionError` where that state differs
    from the one that decisions return.
    """

    def __init__(
        self,
        codec: Codec,
        now: Callable[[], int],
        profile: Callable[[str], AgentProfile | None],
        publish: Callable[[Message, str], None],
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self.dropped = 0
        """Inputs that changed nothing: late, repeated, or of an ended session."""
        self._replayed: dict[str, Session] = {}
        self._router = Router(codec, partitions=1, installation="memory")
        self._now = now
        self._profile = profile
        self._publish = publish

    def read(self, received: Received) -> None:
        """Handles a record of an input topic, if it is for the orchestrator."""
        routed = self._router.route(received)
        if not isinstance(routed, Routed):
            return
        input = routed.input(received, self._profile)
        session = self.sessions.get(routed.correlation_id)
        failure = None if session is None or session.ended else foreign(session, None, input)
        if failure is None:
            self._handle(routed.correlation_id, input)
        else:
            self._publish(record_dead_letter(received, failure, MATCH, self._now()), SOURCE)

    def replay(self, event: SessionEvent) -> None:
        """Folds an own event as a reader of the history sees it."""
        before = self._replayed.get(event.correlation_id)
        self._replayed[event.correlation_id] = evolve(before, event)

    def next_due(self) -> tuple[int, str] | None:
        """When something is due without any input, and in which session."""
        dues = ((next_due(session), name) for name, session in self.sessions.items())
        return min(((due, name) for due, name in dues if due is not None), default=None)

    def fire(self) -> bool:
        """Lets the session that is due first handle its due time; False if none is due."""
        found = self.next_due()
        if found is None or found[0] > self._now():
            return False
        due, name = found
        before = self.sessions[name]
        input_id = identity.derived_id("due", name, before.sequence, due)
        self._handle(name, TimePassed(message_id=input_id, until=self._now()))
        if self.sessions[name] == before:
            raise AssertionError(f"session {name} is due at {due}, but has nothing to do then")
        return True

    def _handle(self, name: str, input: Input) -> None:
        decision = decide(self.sessions.get(name), input, name, self._now())
        if not decision.outputs or decision.session is None:
            self.dropped += 1
            return
        self.sessions[name] = decision.session
        for output in decision.outputs:
            self._publish(output, SOURCE)
        if self._replayed[name] != decision.session:
            raise AssertionError(f"session {name} replayed from its history differs from the live one")

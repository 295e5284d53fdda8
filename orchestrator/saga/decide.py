"""`decide(state, input) -> outputs`: record the input as own events, then make moves until none applies."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from orchestrator.messages import identity
from orchestrator.messages.base import Command, Message, SessionEvent
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.types import Call
from orchestrator.saga.evolve import evolve
from orchestrator.saga.inputs import Input, TimePassed
from orchestrator.saga.moves import EXPIRING, MOVES
from orchestrator.saga.opening import must_wait
from orchestrator.saga.outputs import Draft, Drafts
from orchestrator.saga.replies import REPLIES
from orchestrator.saga.requests import REQUESTS, Request, Submission
from orchestrator.saga.requests.cancel import task_missing
from orchestrator.saga.state import PendingRetry, Phase, Session, Task

PRODUCER: Final = "orchestrator"
MAX_MOVES: Final = 100_000
"""Far more than any plan needs: a session that makes as many has two moves that undo each other, a bug."""


class Decision(msgspec.Struct, frozen=True):
    """The outputs, in order, and the state after them. `session` is None for a session that has not begun."""

    session: Session | None
    outputs: tuple[Message, ...]


def decide(
    session: Session | None, input: Input, correlation_id: str, now: int, call_ids: CallIds = UNKEYED
) -> Decision:
    """What an input leads to at the time `now` (Unix, microseconds). `call_ids` issues the ids of calls.

    A repeated or late input has no outputs and changes nothing.
    """
    if session is not None and session.ended:
        return Decision(session, ())
    writer = _Writer(session, input, correlation_id, now, call_ids)
    writer.write(_recorded(session, input, now))
    _settle(writer)
    return Decision(writer.session, tuple(writer.outputs))


def next_due(session: Session) -> int | None:
    """When a session has to act without an input (Unix, microseconds); None for never. Derived, never stored."""
    if session.ended:
        return None
    if session.task is None:
        return session.awaited_until
    task = session.task
    times = [task.deadline_at]
    if session.parked:
        return min(times)
    times += (call.due_at for call in session.calls.values())
    if session.cancel is None:
        waiting = session.retries.values()
        times += (retry.retry_at for retry in waiting if not _waits_its_turn(session, task, retry))
        if session.revision == 0:
            times.append(task.not_before)
    return min(times)


def _waits_its_turn(session: Session, task: Task, retry: PendingRetry) -> bool:
    """Whether a retry has to wait for running steps, even when its delay is over."""
    return retry.call.failed_kind in OF_STEPS and must_wait(session, task, retry.call.step_id)


def _recorded(session: Session | None, input: Input, now: int) -> Iterable[Draft]:
    if isinstance(input, TimePassed):
        return ()
    if isinstance(input, Request):
        return REQUESTS[type(input)](session, input, now)
    if session is None or session.task is None:
        return ()
    return REPLIES[type(input)](session, input, now)


def _settle(writer: "_Writer") -> None:
    for _ in range(MAX_MOVES):
        session = writer.session
        if session is None or session.ended:
            return
        if session.task is None:
            if session.phase is Phase.AWAITED and _is_over(writer.input, session.awaited_until):
                writer.write([task_missing(session)])
            return
        drafts = _first_move(session, session.task, writer)
        if not drafts:
            return
        writer.write(drafts)
    raise RuntimeError(
        f"session {writer.correlation_id} still moves after {MAX_MOVES} moves: two moves undo each other"
    )


def _is_over(input: Input, at: int) -> bool:
    return isinstance(input, TimePassed) and input.until >= at


def _first_move(session: Session, task: Task, writer: "_Writer") -> Drafts | None:
    """Only `TimePassed` expires anything: any other input may be read before an older reply."""
    if isinstance(writer.input, TimePassed):
        for move in EXPIRING:
            drafts = move(session, task, writer.input.until)
            if drafts is not None:
                return drafts
    for move in MOVES:
        drafts = move(session, task, writer.now)
        if drafts is not None:
            return drafts
    return None


class _Writer:
    """Gives drafts their envelopes and new calls their ids, and folds own events as they are written."""

    def __init__(
        self, session: Session | None, input: Input, correlation_id: str, now: int, call_ids: CallIds
    ) -> None:
        self.session = session
        self.input = input
        self.correlation_id = correlation_id
        self.now = now
        self._call_ids = call_ids
        self.outputs: list[Message] = []
        # A repeated input may come when something else is due: its outputs differ then, and need other ids.
        self._producer = f"{PRODUCER}/{session.sequence if session else 0}"
        agent, tenant = _owner(session, input)
        self._envelope: dict[str, Any] = {
            "correlation_id": correlation_id,
            "causation_id": input.message_id,
            "occurred_at": now,
            "agent": agent,
            "tenant": tenant,
        }

    def write(self, drafts: Iterable[Draft]) -> None:
        for made in drafts:
            own: dict[str, Any] = {_own_id(made.kind): self._next_id()}
            if issubclass(made.kind, SessionEvent):
                own["sequence"] = (self.session.sequence if self.session else 0) + 1
            # A dead letter brings its id, because `TaskEscalated` names it.
            message = made.kind(**{**self._envelope, **own, **self._with_call_id(made.fields)})
            if isinstance(message, SessionEvent):
                self.session = evolve(self.session, message)
            self.outputs.append(message)

    def _with_call_id(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        call = fields.get("call")
        if not isinstance(call, Call) or call.call_id:
            return fields
        return {**fields, "call": replace(call, call_id=self._call_ids.issued(self.correlation_id, call))}

    def _next_id(self) -> str:
        return identity.output_id(
            self.correlation_id, self.input.message_id, self._producer, len(self.outputs)
        )


def _own_id(kind: type[Message]) -> str:
    return "command_id" if issubclass(kind, Command) else "event_id"


def _owner(session: Session | None, input: Input) -> tuple[str, str]:
    """Agent and tenant of what is written: those of a submitted task, else the session's, else the request's."""
    if session is not None and not isinstance(input, Submission):
        return session.agent, session.tenant
    if isinstance(input, TimePassed):
        return "default", "default"
    return input.agent, input.tenant

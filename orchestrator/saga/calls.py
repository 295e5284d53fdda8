"""Calls: how they are opened, matched with replies, failed, voided and found due."""

from collections.abc import Iterable
from typing import Protocol, assert_never

from msgspec.structs import replace

from orchestrator.messages import events
from orchestrator.messages.call_kinds import CALL_KINDS
from orchestrator.messages.timeouts import GRACE_MS, QUEUE_MS
from orchestrator.messages.types import Call, CallKind, Failure, Limits, RetryPolicy, Usage
from orchestrator.messages.usage import NO_USAGE, of_models
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session

SELECTION_MS = 30_000
"""How long a selection may take. It works in memory, so one that takes longer has a dead selector."""
RECOVERY_MS = 30_000
"""How long recovery may take to decide before it is asked again."""
RECOVERY_ASKS = 3
"""How often recovery is asked before the call counts as lost."""
CANCEL_MS = 10_000
"""How long a cancelled session waits for running tools."""
AWAITED_MS = 3_600_000
"""How long a request that came before its task is kept."""
REPLIES_COUNTED = 10
"""How many replies to one call have their usage of models counted: its command is handled as often at most, and whoever
writes more of them makes the session no larger."""


class Reporting(Protocol):
    """A reply to a call, which reports what it used."""

    @property
    def event_id(self) -> str: ...

    @property
    def occurred_at(self) -> int: ...

    @property
    def call(self) -> Call: ...

    @property
    def usage(self) -> Usage: ...


def micros(milliseconds: int) -> int:
    return milliseconds * 1_000


def work_deadline(now: int, timeout_ms: int) -> int:
    """When to stop waiting for work that may queue, take up to its timeout, and reply."""
    return now + micros(QUEUE_MS + timeout_ms + GRACE_MS)


def expires(now: int) -> int:
    """When a command that still waits in its topic is not started any more."""
    return now + micros(QUEUE_MS)


def opened(
    kind: CallKind,
    *,
    now: int,
    due_at: int,
    retry: RetryPolicy,
    revision: int,
    turn: int = 0,
    step_id: str = "",
    after: Call | None = None,
    avoid: tuple[str, ...] = (),
    reserved: Usage | None = None,
    limits: Limits | None = None,
) -> Call:
    """A new call, `after` an attempt that failed. It gets its id when it is written: that is issued for its fields,
    so a decision made twice opens the same call."""
    attempt = after.attempt + 1 if after else 1
    return Call(
        call_id="",
        kind=kind,
        revision=revision,
        turn=turn,
        step_id=step_id,
        attempt=attempt,
        spared=after.spared if after else 0,
        opened_at=now,
        due_at=due_at,
        retry=retry,
        avoid=avoid,
        reserved=reserved,
        limits=limits,
    )


def matching(session: Session, reply: Reporting, *kinds: CallKind) -> Call | None:
    """The open call of one of these kinds that a reply belongs to; None for a late or repeated reply."""
    call = session.calls.get(reply.call.call_id)
    return _replied(call, reply) if call is not None and call.kind in kinds else None


def _replied(call: Call, reply: Reporting) -> Call:
    """The call, with the time of a reply that reports what models used: only such a reply counts twice if its command
    was handled twice."""
    return call if of_models(reply.usage) == NO_USAGE else replace(call, replied_at=reply.occurred_at)


def in_recovery(call: Call, failure: Failure, now: int) -> Call:
    """The call, now waiting for recovery to decide about its failure. Its reservation is released; what is held for
    models stays."""
    return replace(
        call,
        kind=CallKind.RECOVERY,
        failed_kind=call.kind,
        failure=failure,
        due_at=now + micros(RECOVERY_MS),
        reserved=None,
        asked=1,
    )


def failed(call: Call, failure: Failure, usage: Usage, now: int) -> Draft:
    return draft(events.CallFailed, call=in_recovery(call, failure, now), usage=usage)


def late_usage(session: Session, reply: Reporting, kind: CallKind | None = None) -> Iterable[Draft]:
    """The usage that a late or repeated reply reports, as far as it is not counted.

    Runs of tools were counted when their call was closed or replied to. What models used was not: a command that was
    handled twice was paid twice. A reply to a call before the last two plans counts only if its call had none, and
    `REPLIES_COUNTED` count of one call.
    `kind` is what was waited for, where the reply does not say.
    """
    call, usage = replace(reply.call, kind=kind or reply.call.kind), reply.usage
    runs = session.uncounted.get(call.call_id)
    if runs is not None:
        rest = replace(usage, tool_calls=max(0, usage.tool_calls - runs))
    elif call.revision >= session.revision - 1:
        rest = of_models(usage)
    else:
        return
    if rest != NO_USAGE and not _is_counted(session, reply):
        yield draft(events.UsageRecorded, call=_replied(call, reply), usage=rest)


def _is_counted(session: Session, reply: Reporting) -> bool:
    """Whether this very reply was counted, or as many of its call as are."""
    of_call = [one for one in session.reported if one.call_id == reply.call.call_id]
    return len(of_call) >= REPLIES_COUNTED or any(
        one.reply == reply.event_id and one.written_at == reply.occurred_at for one in of_call
    )


def voided(session: Session) -> list[Draft]:
    """Stops the services that work on the session's open calls; nothing where none is open."""
    if not session.calls:
        return []
    return [draft(events.CallsVoided, calls=tuple(session.calls), reason="the session no longer waits")]


def due(session: Session, now: int) -> tuple[Call, ...]:
    """Open calls whose deadline has passed, earliest first."""
    found = (call for call in session.calls.values() if call.due_at <= now)
    return tuple(sorted(found, key=lambda call: (call.due_at, call.call_id)))


def timed_out(call: Call, now: int) -> Draft:
    """No reply came in time: the call, and what is waited for now."""
    return draft(events.CallTimedOut, call=call, next=_after_no_reply(call, now))


def _after_no_reply(call: Call, now: int) -> Call | None:
    match call.kind:
        case CallKind.PLAN | CallKind.SELECTION | CallKind.TOOL | CallKind.EVALUATION | CallKind.UNKNOWN:
            return in_recovery(call, no_reply(call), now)
        case CallKind.RECOVERY if call.asked < RECOVERY_ASKS:
            return replace(call, due_at=now + micros(RECOVERY_MS), asked=call.asked + 1)
        case CallKind.RECOVERY | CallKind.REVIEW:
            return None
        case kind:
            assert_never(kind)


def no_reply(call: Call) -> Failure:
    """The failure of a call without a reply in time. A tool may have run."""
    kind = CALL_KINDS[call.kind]
    who = f"{kind.service} for {call.tool}" if call.kind is CallKind.TOOL else kind.service
    return Failure(
        kind=kind.when_silent,
        code="timed_out",
        message=f"no answer from the {who} in time; is it running, and is it reading its topic?",
    )

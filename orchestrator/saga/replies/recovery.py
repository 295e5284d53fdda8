"""Taking in what recovery decided."""

from collections.abc import Iterable

from orchestrator.messages import events
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.types import Call, CallKind, Failure, RecoveryDecision
from orchestrator.saga.calls import matching, micros
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def retry_scheduled(session: Session, reply: events.RetryScheduled, now: int) -> Iterable[Draft]:
    """The delay counts by the orchestrator's clock, from now."""
    call = matching(session, reply.call, CallKind.RECOVERY)
    if call is not None:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.RETRY,
            retry_at=now + micros(max(0, reply.delay_ms)),
            avoid=call.avoid,
            reason=reply.reason,
        )


def fallback_chosen(session: Session, reply: events.FallbackChosen, now: int) -> Iterable[Draft]:
    call = matching(session, reply.call, CallKind.RECOVERY)
    if call is not None:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.FALLBACK,
            retry_at=now,
            avoid=tuple(sorted({*call.avoid, *reply.avoid})),
            reason=reply.reason,
        )


def recovery_exhausted(session: Session, reply: events.RecoveryExhausted, _now: int) -> Iterable[Draft]:
    call = matching(session, reply.call, CallKind.RECOVERY)
    if call is not None:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.EXHAUSTED,
            avoid=call.avoid,
            reason=reply.reason,
        )
        yield from lost(call, call.failure or reply.failure)


def lost(call: Call, failure: Failure) -> Iterable[Draft]:
    """A call that nothing can save. For a step that is the step's end."""
    if call.failed_kind in OF_STEPS:
        yield draft(events.StepFailed, call=call, failure=failure)

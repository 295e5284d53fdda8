"""Replies of recovery."""

from collections.abc import Iterable

from orchestrator.messages import events
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.plans import dependencies
from orchestrator.messages.types import Call, CallKind, Document, Failure, RecoveryDecision
from orchestrator.messages.values import steps_named
from orchestrator.saga.calls import late_usage, matching, micros
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def retry_scheduled(session: Session, reply: events.RetryScheduled, now: int) -> Iterable[Draft]:
    """The delay counts from now, by the orchestrator's clock."""
    call = matching(session, reply, CallKind.RECOVERY)
    if call is None:
        yield from late_usage(session, reply, CallKind.RECOVERY)
    else:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.RETRY,
            retry_at=now + micros(max(0, reply.delay_ms)),
            avoid=call.avoid,
            arguments=reply.arguments if _fit(reply.arguments, session, call) else None,
            spared=reply.spared,
            reason=reply.reason,
            usage=reply.usage,
        )


def fallback_chosen(session: Session, reply: events.FallbackChosen, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.RECOVERY)
    if call is None:
        yield from late_usage(session, reply, CallKind.RECOVERY)
    else:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.FALLBACK,
            retry_at=now,
            avoid=tuple(sorted({*call.avoid, *reply.avoid})),
            reason=reply.reason,
            usage=reply.usage,
        )


def recovery_exhausted(session: Session, reply: events.RecoveryExhausted, _now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.RECOVERY)
    if call is None:
        yield from late_usage(session, reply, CallKind.RECOVERY)
    else:
        yield draft(
            events.RecoveryRecorded,
            call=call,
            decision=RecoveryDecision.EXHAUSTED,
            avoid=call.avoid,
            reason=reply.reason,
            usage=reply.usage,
        )
        yield from exhausted(call, call.failure or reply.failure)


def _fit(arguments: Document | None, session: Session, call: Call) -> bool:
    """Whether mended arguments can take the place of the plan's: no reviewer has accepted those, and they bind only
    steps that the step of the call waited for already."""
    reviewed = session.task is None or bool(session.task.profile.reviewers)
    if session.plan is None or reviewed or call.failed_kind not in OF_STEPS:
        return False
    step = next((one for one in session.plan.steps if one.step_id == call.step_id), None)
    return step is not None and steps_named(arguments) <= dependencies(step)


def exhausted(call: Call, failure: Failure) -> Iterable[Draft]:
    """What follows where recovery has nothing left to try: the step of the call, if it has one, has failed."""
    if call.failed_kind in OF_STEPS:
        yield draft(events.StepFailed, call=call, failure=failure)

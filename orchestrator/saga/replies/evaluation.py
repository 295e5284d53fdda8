"""Replies of evaluators."""

from collections.abc import Iterable

from orchestrator.messages import events
from orchestrator.messages.types import CallKind
from orchestrator.saga.calls import failed, late_usage, matching
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def task_evaluated(session: Session, reply: events.TaskEvaluated, _now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.EVALUATION)
    if call is None:
        yield from late_usage(session, reply)
        return
    yield draft(
        events.EvaluationRecorded,
        call=call,
        evaluation=reply.evaluation,
        result=reply.result,
        usage=reply.usage,
    )


def evaluation_failed(session: Session, reply: events.EvaluationFailed, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.EVALUATION)
    if call is None:
        yield from late_usage(session, reply)
    else:
        yield failed(call, reply.failure, reply.usage, now)

"""Taking in what planners and reviewers reply."""

from collections.abc import Iterable

from orchestrator.messages import events
from orchestrator.messages.plans import problems_of
from orchestrator.messages.types import Call, CallKind, Failure, FailureKind, ReviewPolicy
from orchestrator.saga.calls import failed, late, matching, micros, opened
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def plan_created(session: Session, reply: events.PlanCreated, now: int) -> Iterable[Draft]:
    call = matching(session, reply.call, CallKind.PLAN)
    if call is None:
        yield from late(session, reply.call, reply.usage)
        return
    if problems := problems_of(reply.plan):
        failure = Failure(kind=FailureKind.PERMANENT, code="invalid_plan", message="; ".join(problems))
        yield failed(call, failure, reply.usage, now)
        return
    reviewers = session.task.profile.reviewers if session.task else ()
    if not reviewers:
        yield draft(events.PlanAccepted, call=call, plan=reply.plan, usage=reply.usage)
        return
    reviews = tuple(_review_call(session, call, policy, now) for policy in reviewers)
    yield draft(events.PlanProposed, call=call, plan=reply.plan, reviews=reviews, usage=reply.usage)


def planning_failed(session: Session, reply: events.PlanningFailed, now: int) -> Iterable[Draft]:
    call = matching(session, reply.call, CallKind.PLAN)
    if call is None:
        yield from late(session, reply.call, reply.usage)
    else:
        yield failed(call, reply.failure, reply.usage, now)


def plan_reviewed(session: Session, reply: events.PlanReviewed, _now: int) -> Iterable[Draft]:
    """Counts for the plan under review only, and only from a reviewer that the profile names."""
    for call in session.waiting_for(CallKind.REVIEW):
        if call.step_id == reply.review.reviewer and call.revision == reply.revision:
            yield draft(events.ReviewRecorded, call=call, review=reply.review, usage=reply.usage)


def _review_call(session: Session, call: Call, policy: ReviewPolicy, now: int) -> Call:
    return opened(
        session,
        CallKind.REVIEW,
        due_at=now + micros(policy.timeout_ms),
        retry=call.retry,
        revision=call.revision,
        step_id=policy.reviewer,
        attempt=call.attempt,
    )

"""Replies of planners and reviewers."""

from collections.abc import Iterable

from orchestrator.messages import events, identity
from orchestrator.messages.plans import problems_of
from orchestrator.messages.types import (
    Call,
    CallKind,
    Failure,
    FailureKind,
    Limits,
    Review,
    ReviewPolicy,
    ReviewVerdict,
)
from orchestrator.saga.calls import failed, late_usage, matching, micros
from orchestrator.saga.limits import advice_limits
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def plan_created(session: Session, reply: events.PlanCreated, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.PLAN)
    if call is None:
        yield from late_usage(session, reply)
        return
    taken = {"call": call, "usage": reply.usage, "conversation": reply.conversation}
    if problems := problems_of(reply.plan):
        failure = Failure(kind=FailureKind.PERMANENT, code="invalid_plan", message="; ".join(problems))
        yield draft(events.PlanRejected, failure=failure, **taken)
        return
    task = session.task
    reviewers = task.profile.reviewers if task else ()
    if task is None or not reviewers:
        yield draft(events.PlanAccepted, plan=reply.plan, **taken)
        return
    limits = advice_limits(session, task, reply.usage, len(reviewers))
    reviews = tuple(_review_call(call, policy, now, limits) for policy in reviewers)
    yield draft(events.PlanProposed, plan=reply.plan, reviews=reviews, **taken)


def planning_failed(session: Session, reply: events.PlanningFailed, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.PLAN)
    if call is None:
        yield from late_usage(session, reply)
    else:
        yield failed(call, reply.failure, reply.usage, now)


def plan_reviewed(session: Session, reply: events.PlanReviewed, _now: int) -> Iterable[Draft]:
    """Counts only for the plan under review, and only from a reviewer that the profile names."""
    asked = _Reviewed(reply, reply.review.reviewer)
    call = matching(session, asked, CallKind.REVIEW)
    if call is not None:
        yield draft(events.ReviewRecorded, call=call, review=reply.review, usage=reply.usage)
    elif _is_named(session, reply.review.reviewer):
        yield from late_usage(session, asked)


def review_failed(session: Session, reply: events.ReviewFailed, _now: int) -> Iterable[Draft]:
    """There will be no review: the agent's profile decides at once."""
    asked = _Reviewed(reply, reply.reviewer)
    call = matching(session, asked, CallKind.REVIEW)
    if call is not None:
        review = missing_review(session, call, f"no review: {reply.failure.message or reply.failure.code}")
        yield draft(events.ReviewRecorded, call=call, review=review, usage=reply.usage)
    elif _is_named(session, reply.reviewer):
        yield from late_usage(session, asked)


def missing_review(session: Session, call: Call, reason: str) -> Review:
    """What stands for a review that does not come, by the agent's profile."""
    policies = session.task.profile.reviewers if session.task else ()
    policy = next((policy for policy in policies if policy.reviewer == call.step_id), None)
    verdict = policy.on_timeout if policy else ReviewVerdict.REJECT
    return Review(reviewer=call.step_id, verdict=verdict, reason=reason)


def _is_named(session: Session, reviewer: str) -> bool:
    """Others look at every plan unasked, and no session has asked them."""
    return session.task is not None and any(
        policy.reviewer == reviewer for policy in session.task.profile.reviewers
    )


class _Reviewed:
    """A review, or its failure, as a reply to its call, which reviewers do not know."""

    def __init__(self, reply: events.PlanReviewed | events.ReviewFailed, reviewer: str) -> None:
        self.event_id = reply.event_id
        self.occurred_at = reply.occurred_at
        self.usage = reply.usage
        self.call = Call(
            call_id=identity.review_call_id(reply.plan_call_id, reviewer),
            kind=CallKind.REVIEW,
            revision=reply.revision,
            step_id=reviewer,
            due_at=0,
        )


def _review_call(call: Call, policy: ReviewPolicy, now: int, limits: Limits | None) -> Call:
    return Call(
        call_id=identity.review_call_id(call.call_id, policy.reviewer),
        kind=CallKind.REVIEW,
        revision=call.revision,
        step_id=policy.reviewer,
        opened_at=now,
        due_at=now + micros(policy.timeout_ms),
        limits=limits,
    )

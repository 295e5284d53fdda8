"""Moves: what a session does next, once its input is recorded.

`EXPIRING`, then `MOVES` are tried in order. The first that applies is made, and all are tried again. Deadline,
cancel and escalation are places in this order, so no other move has to check for them.
"""

from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from orchestrator.messages import events
from orchestrator.messages.call_kinds import IN_FLIGHT
from orchestrator.messages.types import (
    CallKind,
    EvaluationPoint,
    Failure,
    FailureKind,
    NextMove,
    ReviewVerdict,
)
from orchestrator.saga import calls
from orchestrator.saga.calls import voided
from orchestrator.saga.escalation import escalation
from orchestrator.saga.opening import request_evaluation, request_plan, retry_call, start_step
from orchestrator.saga.outputs import Drafts, draft
from orchestrator.saga.replies.planning import missing_review
from orchestrator.saga.replies.recovery import exhausted
from orchestrator.saga.state import Phase, Session, Task

Move: TypeAlias = Callable[[Session, Task, int], Drafts | None]
"""What the move writes; None where it does not apply; empty where it keeps the session from going on."""


def meet_deadline(session: Session, task: Task, now: int) -> Drafts | None:
    """The session's deadline has passed: the task fails, even with calls still open."""
    if now < task.deadline_at:
        return None
    if session.cancel is not None:
        return [
            *voided(session),
            draft(
                events.TaskCancelled, reason=session.cancel, total=session.used, received_at=task.received_at
            ),
        ]
    failure = session.escalated or Failure(
        kind=FailureKind.PERMANENT, code="deadline_exceeded", message="the session's deadline has passed"
    )
    return [
        *voided(session),
        draft(events.TaskFailed, failure=failure, total=session.used, received_at=task.received_at),
    ]


def expire_calls(session: Session, _task: Task, now: int) -> Drafts | None:
    """One call at a time: what the first leads to may void the second."""
    for call in calls.due(session, now):
        drafts = [calls.timed_out(call, now)]
        match call.kind:
            case CallKind.REVIEW:
                review = missing_review(session, call, "no review in time")
                drafts.append(draft(events.ReviewRecorded, call=call, review=review))
            case CallKind.RECOVERY if call.asked >= calls.RECOVERY_ASKS:
                drafts += exhausted(call, call.failure or calls.no_reply(call))
            case CallKind.PLAN | CallKind.SELECTION | CallKind.TOOL | CallKind.EVALUATION:
                pass
            case CallKind.RECOVERY | CallKind.UNKNOWN:
                pass
            case kind:
                assert_never(kind)
        return drafts
    return None


def finish_cancel(session: Session, task: Task, _now: int) -> Drafts | None:
    """No new call is opened. The session ends when the calls in flight have a reply or have timed out."""
    if session.cancel is None:
        return None
    if session.waiting_for(*IN_FLIGHT):
        return []
    return [
        draft(events.TaskCancelled, reason=session.cancel, total=session.used, received_at=task.received_at)
    ]


def hold_parked(session: Session, _task: Task, _now: int) -> Drafts | None:
    """An escalated session does nothing until it is cancelled or its deadline passes."""
    return [] if session.parked else None


def escalate(session: Session, task: Task, _now: int) -> Drafts | None:
    return None if session.give_up is None else escalation(session, task, session.give_up)


def settle_reviews(session: Session, _task: Task, _now: int) -> Drafts | None:
    """One rejection rejects the plan; its acceptance takes all reviewers."""
    if session.proposed is None or session.proposal is None:
        return None
    rejections = [review for review in session.reviews if review.verdict is not ReviewVerdict.ACCEPT]
    waiting = session.waiting_for(CallKind.REVIEW)
    call = session.proposal
    if rejections:
        reasons = "; ".join(f"{review.reviewer}: {review.reason or 'rejected'}" for review in rejections)
        failure = Failure(kind=FailureKind.PERMANENT, code="plan_rejected", message=reasons)
        return [draft(events.PlanRejected, call=call, failure=failure, reviews=session.reviews)]
    if waiting:
        return None
    return [draft(events.PlanAccepted, call=call, plan=session.proposed)]


def finish(session: Session, task: Task, _now: int) -> Drafts | None:
    match advice(session):
        case NextMove.FINISH:
            return [
                *voided(session),
                draft(
                    events.TaskCompleted,
                    result=session.result,
                    evaluation=session.evaluation,
                    revision=session.revision,
                    total=session.used,
                    received_at=task.received_at,
                ),
            ]
        case NextMove.GIVE_UP:
            reason = session.evaluation.reason if session.evaluation else ""
            failure = Failure(
                kind=FailureKind.PERMANENT, code="goal_not_met", message=reason or "the evaluator gave up"
            )
            return escalation(session, task, failure)
        case _:
            return None


def plan(session: Session, task: Task, now: int) -> Drafts | None:
    """Requests the first plan, the next turn, or a correction where a plan was rejected or missed the goal."""
    if session.revision == 0:
        return request_plan(session, task, turn=1, feedback="", now=now) if now >= task.not_before else None
    if _wants_turn(session, task):
        return request_plan(session, task, turn=session.current_turn + 1, feedback="", now=now)
    feedback = _wants_revision(session)
    if feedback is None:
        return None
    corrections = session.revision - session.current_turn
    if corrections + 1 >= task.profile.evaluation.max_revisions:
        failure = Failure(
            kind=FailureKind.PERMANENT,
            code="revisions_exhausted",
            message=f"not reached within {corrections + 1} plan revision(s): {feedback}",
        )
        return escalation(session, task, failure)
    return request_plan(session, task, turn=session.current_turn, feedback=feedback, now=now)


def retry_calls(session: Session, task: Task, now: int) -> Drafts | None:
    """Tries again the failed calls whose delay is over, earliest first."""
    if not session.retries:
        return None
    due = [retry for retry in session.retries.values() if retry.retry_at <= now]
    for retry in sorted(due, key=lambda found: (found.retry_at, found.call.call_id)):
        drafts = retry_call(session, task, retry, now)
        if drafts is not None:
            return drafts
    return None


def dispatch(session: Session, task: Task, now: int) -> Drafts | None:
    """Starts the next ready step, unless it has to wait for an evaluation."""
    if session.phase is not Phase.EXECUTING or not session.ready or _evaluates_first(session, task):
        return None
    return start_step(session, task, session.ready[0], now)


def evaluate(session: Session, task: Task, now: int) -> Drafts | None:
    if session.phase is not Phase.EXECUTING or not session.concludes or not session.unevaluated:
        return None
    if not session.done and task.profile.evaluation.after is not EvaluationPoint.STEP:
        return None
    return request_evaluation(session, task, session.evaluations + 1, now)


EXPIRING: Final[tuple[Move, ...]] = (meet_deadline, expire_calls)
"""Moves that act on a deadline, tried first and only when time has passed. Their `now` is the time up to which
every input has been read."""

MOVES: Final[tuple[Move, ...]] = (
    finish_cancel,
    hold_parked,
    escalate,
    settle_reviews,
    finish,
    plan,
    retry_calls,
    dispatch,
    evaluate,
)


def advice(session: Session) -> NextMove | None:
    """What the last evaluation asks for, in the session's present state; None where it asks for nothing."""
    evaluation = session.evaluation
    if evaluation is None or session.phase is not Phase.EXECUTING or session.unevaluated:
        return None
    match evaluation.next:
        case NextMove.GIVE_UP | NextMove.REVISE:
            return evaluation.next
        case NextMove.CONTINUE if not session.done:
            return None
        case NextMove.FINISH | NextMove.CONTINUE | _:
            return NextMove.FINISH if evaluation.goal_met else NextMove.REVISE


def _wants_turn(session: Session, task: Task) -> bool:
    """Whether the planner is asked what to do next: the steps of its open plan have settled, and are not all that
    it wanted."""
    if session.phase is not Phase.EXECUTING or session.plan is None or not session.plan.open:
        return False
    if session.concludes and session.done:
        return False
    settled = not session.ready and not session.calls and not session.retries
    return settled and not _evaluates_first(session, task)


def _wants_revision(session: Session) -> str | None:
    """Why another plan is needed; None where none is."""
    if session.phase is Phase.PLANNING:
        idle = not session.calls and not session.retries and session.proposed is None
        return session.feedback if idle else None
    if advice(session) is NextMove.REVISE and session.evaluation is not None:
        return session.evaluation.reason or "the goal is not met"
    return None


def _evaluates_first(session: Session, task: Task) -> bool:
    """Whether an evaluation has to come before the next step, or keeps it from running."""
    each_step = session.concludes and task.profile.evaluation.after is EvaluationPoint.STEP
    return (each_step and session.unevaluated) or advice(session) is not None

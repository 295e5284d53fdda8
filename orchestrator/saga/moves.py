"""The second half of a decision: what a session does next. `MOVES` is tried in order; the first that applies
is made, and all are tried again. Cancel, deadline and parking are their order, not flags asked everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from orchestrator.messages import commands, events, identity
from orchestrator.messages.types import (
    Call,
    CallKind,
    EvaluationPoint,
    Failure,
    FailureKind,
    NextMove,
    Review,
    ReviewVerdict,
    Step,
    Usage,
)
from orchestrator.messages.values import json_value, steps_named
from orchestrator.saga import calls
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.record.recovery import lost
from orchestrator.saga.state import PendingRetry, Phase, Session, StepStatus, Task
from orchestrator.saga.usage import excess, limits_left

Drafts: TypeAlias = Sequence[Draft]
Move: TypeAlias = Callable[[Session, Task, int], Drafts | None]
"""What the move writes; None where it does not apply; empty where it holds the session as it is."""

_ONE_RUN: Final = Usage(tool_calls=1)


def meet_deadline(session: Session, task: Task, now: int) -> Drafts | None:
    """Time has run out: the task fails, whatever is still open."""
    if now < task.deadline_at:
        return None
    if session.cancel is not None:
        return [*_voided(session), draft(events.TaskCancelled, reason=session.cancel, total=session.used)]
    failure = session.escalated or Failure(
        kind=FailureKind.PERMANENT, code="deadline_exceeded", message="the session's deadline has passed"
    )
    return [*_voided(session), draft(events.TaskFailed, failure=failure, total=session.used)]


def expire_calls(session: Session, _task: Task, now: int) -> Drafts | None:
    """One call at a time: what follows from the first may void the second."""
    for call in calls.due(session, now):
        drafts = [calls.timed_out(call, now)]
        if call.kind is CallKind.REVIEW:
            drafts.append(_silent_review(session, call))
        elif call.kind is CallKind.RECOVERY and call.asked >= calls.RECOVERY_ASKS:
            drafts += lost(call, call.failure or calls.silence(call))
        return drafts
    return None


def finish_cancel(session: Session, _task: Task, _now: int) -> Drafts | None:
    """Nothing new begins; the session ends when tools in flight have answered or expired."""
    if session.cancel is None:
        return None
    if session.waiting_for(*calls.IN_FLIGHT):
        return []
    return [draft(events.TaskCancelled, reason=session.cancel, total=session.used)]


def hold_parked(session: Session, _task: Task, _now: int) -> Drafts | None:
    return [] if session.parked else None


def escalate(session: Session, task: Task, _now: int) -> Drafts | None:
    return None if session.give_up is None else escalation(session, task, session.give_up)


def settle_reviews(session: Session, _task: Task, _now: int) -> Drafts | None:
    """One refusal decides; acceptance takes all reviewers."""
    if session.proposed is None:
        return None
    refusals = [review for review in session.reviews if review.verdict is not ReviewVerdict.ACCEPT]
    waiting = session.waiting_for(CallKind.REVIEW)
    call = _answered_plan_call(session)
    if refusals:
        reasons = "; ".join(f"{review.reviewer}: {review.reason or 'rejected'}" for review in refusals)
        failure = Failure(kind=FailureKind.PERMANENT, code="plan_rejected", message=reasons)
        return [draft(events.PlanRejected, call=call, failure=failure, reviews=session.reviews)]
    if waiting:
        return None
    return [draft(events.PlanAccepted, call=call, plan=session.proposed)]


def retry_calls(session: Session, task: Task, now: int) -> Drafts | None:
    """Calls whose time to be tried again has come, the oldest first."""
    due = [retry for retry in session.retries.values() if retry.retry_at <= now]
    for retry in sorted(due, key=lambda found: (found.retry_at, found.call.call_id)):
        drafts = _tried_again(session, task, retry, now)
        if drafts is not None:
            return drafts
    return None


def dispatch(session: Session, task: Task, now: int) -> Drafts | None:
    """The next step that misses nothing, as long as steps may run side by side."""
    if session.phase is not Phase.EXECUTING or not session.ready or _evaluates_first(session, task):
        return None
    return _begun(session, task, session.ready[0], 1, (), now)


def evaluate(session: Session, task: Task, now: int) -> Drafts | None:
    if session.phase is not Phase.EXECUTING or session.plan is None or not session.unevaluated:
        return None
    done = session.succeeded == len(session.steps)
    if not done and task.profile.evaluation.after is not EvaluationPoint.STEP:
        return None
    return _evaluation(session, task, session.evaluations + 1, 1, now)


def plan(session: Session, task: Task, now: int) -> Drafts | None:
    """The first plan, or the next revision where the last one was rejected or did not meet the goal."""
    if session.revision == 0:
        return _planned(session, task, 1, 1, "", now) if now >= task.not_before else None
    feedback = _wants_revision(session)
    if feedback is None:
        return None
    if session.revision >= task.profile.evaluation.max_revisions:
        failure = Failure(
            kind=FailureKind.PERMANENT,
            code="revisions_exhausted",
            message=f"not reached within {session.revision} plan revision(s): {feedback}",
        )
        return escalation(session, task, failure)
    return [*_voided(session), *_planned(session, task, session.revision + 1, 1, feedback, now)]


def finish(session: Session, task: Task, _now: int) -> Drafts | None:
    match advice(session):
        case NextMove.FINISH:
            return [
                *_voided(session),
                draft(
                    events.TaskCompleted,
                    result=session.result,
                    evaluation=session.evaluation,
                    revision=session.revision,
                    total=session.used,
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


MOVES: Final[tuple[Move, ...]] = (
    meet_deadline,
    expire_calls,
    finish_cancel,
    hold_parked,
    escalate,
    settle_reviews,
    finish,
    retry_calls,
    dispatch,
    evaluate,
    plan,
)


def advice(session: Session) -> NextMove | None:
    """What the last evaluation means for the session as it is; None where nothing follows from it."""
    evaluation = session.evaluation
    if evaluation is None or session.phase is not Phase.EXECUTING or session.unevaluated:
        return None
    remaining = session.succeeded < len(session.steps)
    match evaluation.next:
        case NextMove.GIVE_UP | NextMove.REVISE:
            return evaluation.next
        case NextMove.CONTINUE if remaining:
            return None
        case NextMove.FINISH | NextMove.CONTINUE | _:
            return NextMove.FINISH if evaluation.goal_met else NextMove.REVISE


def escalation(session: Session, task: Task, failure: Failure) -> Drafts:
    """The session is parked until its deadline, and a dead letter tells all about it."""
    letter = identity.derived_id("dead-letter", session.correlation_id, session.sequence)
    return [
        *_voided(session),
        draft(
            events.TaskEscalated,
            failure=failure,
            dead_letter_id=letter,
            expires_at=task.deadline_at,
            total=session.used,
        ),
        draft(
            events.MessageDeadLettered,
            event_id=letter,
            original=task.submitted,
            failure=failure,
            service="orchestrator",
            stage="escalate",
            state=json_value(session),
            sequence=session.sequence,
        ),
    ]


def _voided(session: Session) -> Drafts:
    if not session.calls:
        return []
    return [draft(events.CallsVoided, calls=tuple(session.calls), reason="the session no longer waits")]


def _silent_review(session: Session, call: Call) -> Draft:
    policies = session.task.profile.reviewers if session.task else ()
    policy = next((policy for policy in policies if policy.reviewer == call.step_id), None)
    verdict = policy.on_timeout if policy else ReviewVerdict.REJECT
    review = Review(reviewer=call.step_id, verdict=verdict, reason="no review in time")
    return draft(events.ReviewRecorded, call=call, review=review)


def _answered_plan_call(session: Session) -> Call:
    """The plan's call, which its reply has closed: only its identity is still of interest."""
    assert session.task is not None  # noqa: S101 - moves are made for sessions with a task
    return calls.opened(
        session, CallKind.PLAN, due_at=0, retry=session.task.profile.retry, revision=session.revision
    )


def _wants_revision(session: Session) -> str | None:
    """Why another plan is needed; None where the present one holds."""
    if session.phase is Phase.PLANNING:
        idle = not session.calls and not session.retries and session.proposed is None
        return session.feedback if idle else None
    if advice(session) is NextMove.REVISE and session.evaluation is not None:
        return session.evaluation.reason or "the goal is not met"
    return None


def _evaluates_first(session: Session, task: Task) -> bool:
    """Whether the next step has to wait for an evaluation, or will not run because of one."""
    each_step = task.profile.evaluation.after is EvaluationPoint.STEP
    return (each_step and session.unevaluated) or advice(session) is not None


def _tried_again(session: Session, task: Task, retry: PendingRetry, now: int) -> Drafts | None:
    attempt = retry.call.attempt + 1
    match retry.call.failed_kind:
        case CallKind.PLAN:
            return _planned(session, task, retry.call.revision, attempt, session.feedback, now)
        case CallKind.EVALUATION:
            return _evaluation(session, task, session.evaluations, attempt, now)
        case _:
            return _begun(session, task, retry.call.step_id, attempt, retry.avoid, now)


def _planned(session: Session, task: Task, revision: int, attempt: int, feedback: str, now: int) -> Drafts:
    failure = excess(session, task, Usage())
    if failure is not None:
        return escalation(session, task, failure)
    profile = task.profile
    call = calls.opened(
        session,
        CallKind.PLAN,
        due_at=calls.work_deadline(now, profile.planning_timeout_ms),
        retry=profile.retry,
        revision=revision,
        attempt=attempt,
    )
    command = draft(
        commands.CreatePlan,
        call=call,
        not_after=calls.expires(now),
        planner=profile.planner,
        goal=task.goal,
        context=task.context,
        memory=task.memory,
        playbook=task.playbook,
        tools=profile.tools,
        limits=limits_left(session, task),
        previous=session.plan,
        evaluation=session.evaluation,
        feedback=feedback,
    )
    return [draft(events.PlanRequested, call=call, feedback=feedback), command]


def _begun(
    session: Session, task: Task, step_id: str, attempt: int, avoid: tuple[str, ...], now: int
) -> Drafts | None:
    """One attempt at a step, through the door: parallel steps first, then what is left to use."""
    step = _step(session, step_id)
    wanted = replace(step.reserve, tool_calls=1) if step.reserve else _ONE_RUN
    running = session.waiting_for(*calls.IN_FLIGHT)
    if len(running) >= (task.limits.parallel_steps or 1):
        return None
    failure = excess(session, task, wanted)
    if failure is not None:
        return None if running else escalation(session, task, failure)
    call = calls.opened(
        session,
        CallKind.SELECTION,
        due_at=now + calls.micros(calls.SELECTION_MS),
        retry=step.retry or task.profile.retry,
        revision=session.revision,
        step_id=step_id,
        attempt=attempt,
        avoid=avoid,
        reserved=wanted,
    )
    inputs = {
        name: output
        for name in sorted(steps_named(step.arguments))
        if (output := session.steps[name].output) is not None
    }
    return [
        draft(
            events.PlanStepReady,
            call=call,
            step=step,
            inputs=inputs,
            tools=task.profile.tools,
            step_timeout_ms=task.limits.step_timeout_ms or 0,
        )
    ]


def _evaluation(session: Session, task: Task, number: int, attempt: int, now: int) -> Drafts:
    failure = excess(session, task, Usage())
    if failure is not None:
        return escalation(session, task, failure)
    assert session.plan is not None  # noqa: S101 - there is nothing to evaluate without one
    policy = task.profile.evaluation
    remaining = tuple(
        name for name, state in session.steps.items() if state.status is not StepStatus.SUCCEEDED
    )
    point = EvaluationPoint.STEP if remaining else EvaluationPoint.PLAN
    call = calls.opened(
        session,
        CallKind.EVALUATION,
        due_at=calls.work_deadline(now, policy.timeout_ms),
        retry=task.profile.retry,
        revision=session.revision,
        # One evaluation differs from the next by its number, as steps differ by their names.
        step_id=f"evaluation-{number}",
        attempt=attempt,
    )
    command = draft(
        commands.EvaluateTask,
        call=call,
        not_after=calls.expires(now),
        evaluator=policy.evaluator,
        point=point,
        goal=task.goal,
        criteria=session.plan.criteria,
        result=session.plan.result,
        outputs={
            name: state.output
            for name, state in session.steps.items()
            if name in session.kept and state.output is not None
        },
        remaining_steps=remaining,
    )
    return [draft(events.EvaluationRequested, call=call, point=point), command]


def _step(session: Session, step_id: str) -> Step:
    assert session.plan is not None  # noqa: S101 - steps belong to a plan
    return next(step for step in session.plan.steps if step.step_id == step_id)

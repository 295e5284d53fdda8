"""Opening calls: the one place where a session requests work, with the command or the event that asks for it.

A call that does not fit under the session's limits waits for running steps, or the session is escalated.
"""

from typing import assert_never

from msgspec.structs import replace

from orchestrator.errors import ContractError
from orchestrator.messages import commands, events
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.types import CallKind, EvaluationPoint, Step, Usage
from orchestrator.messages.values import steps_named
from orchestrator.saga import calls
from orchestrator.saga.calls import voided
from orchestrator.saga.escalation import escalation
from orchestrator.saga.limits import excess, limits_left
from orchestrator.saga.outputs import Drafts, draft
from orchestrator.saga.state import PendingRetry, Session, StepStatus, Task

_ONE_RUN = Usage(tool_calls=1)


def request_plan(
    session: Session, task: Task, revision: int, attempt: int, feedback: str, now: int
) -> Drafts:
    """Requests the plan of a revision. Calls of the revision before are void."""
    failure = excess(session, task, Usage())
    if failure is not None:
        return escalation(session, task, failure)
    profile = task.profile
    call = calls.opened(
        session,
        CallKind.PLAN,
        now=now,
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
    return [*voided(session), draft(events.PlanRequested, call=call, feedback=feedback), command]


def start_step(
    session: Session, task: Task, step_id: str, attempt: int, avoid: tuple[str, ...], now: int
) -> Drafts | None:
    """Starts an attempt at a step; None while it has to wait for running steps."""
    if must_wait(session, task, step_id):
        return None
    step = _step(session, step_id)
    wanted = _wanted(step)
    failure = excess(session, task, wanted)
    if failure is not None:
        return escalation(session, task, failure)
    call = calls.opened(
        session,
        CallKind.SELECTION,
        now=now,
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


def must_wait(session: Session, task: Task, step_id: str) -> bool:
    """Whether a step has to wait for running steps: for a free place, or for what is reserved for them."""
    running = session.waiting_for(*OF_STEPS)
    if not running:
        return False
    if len(running) >= (task.limits.parallel_steps or 1):
        return True
    return excess(session, task, _wanted(_step(session, step_id))) is not None


def request_evaluation(session: Session, task: Task, number: int, attempt: int, now: int) -> Drafts:
    """Requests the session's evaluation of this number."""
    failure = excess(session, task, Usage())
    if failure is not None:
        return escalation(session, task, failure)
    assert session.plan is not None  # noqa: S101 - without a plan nothing is evaluated
    policy = task.profile.evaluation
    remaining = tuple(
        name for name, state in session.steps.items() if state.status is not StepStatus.SUCCEEDED
    )
    point = EvaluationPoint.STEP if remaining else EvaluationPoint.PLAN
    call = calls.opened(
        session,
        CallKind.EVALUATION,
        now=now,
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


def retry_call(session: Session, task: Task, retry: PendingRetry, now: int) -> Drafts | None:
    """The next attempt at a failed call; None while a step has to wait for running steps."""
    attempt = retry.call.attempt + 1
    match retry.call.failed_kind:
        case CallKind.PLAN:
            return request_plan(session, task, retry.call.revision, attempt, session.feedback, now)
        case CallKind.EVALUATION:
            return request_evaluation(session, task, session.evaluations, attempt, now)
        case CallKind.SELECTION | CallKind.TOOL:
            return start_step(session, task, retry.call.step_id, attempt, retry.avoid, now)
        case CallKind.REVIEW | CallKind.RECOVERY | CallKind.UNKNOWN as kind:
            raise ContractError(
                f"call {retry.call.call_id} failed as {kind}, which this version cannot try again: "
                "run the version that opened it"
            )
        case kind:
            assert_never(kind)


def _wanted(step: Step) -> Usage:
    return replace(step.reserve, tool_calls=1) if step.reserve else _ONE_RUN


def _step(session: Session, step_id: str) -> Step:
    assert session.plan is not None  # noqa: S101 - steps belong to a plan
    return next(step for step in session.plan.steps if step.step_id == step_id)

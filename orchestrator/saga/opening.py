"""Opening calls: the one place where a session requests work, with the command or the event that asks for it.

A call that does not fit under the session's limits waits for running steps, or the session is escalated.
"""

from typing import Any, assert_never

from msgspec.structs import replace

from orchestrator.errors import ContractError
from orchestrator.messages import commands, events
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.types import (
    Call,
    CallKind,
    EvaluationPoint,
    Failure,
    FailureKind,
    Limits,
    ModelPolicy,
    Step,
    StepOutcome,
    Usage,
)
from orchestrator.messages.usage import NO_USAGE, total_usage
from orchestrator.messages.values import steps_named
from orchestrator.saga import calls
from orchestrator.saga.calls import voided
from orchestrator.saga.escalation import escalation
from orchestrator.saga.limits import advice_limits, excess, excess_of_turns, limits_left, limits_models
from orchestrator.saga.outputs import Drafts, draft
from orchestrator.saga.state import PendingRetry, Session, StepState, StepStatus, Task

_ONE_RUN = Usage(tool_calls=1)
_CUT_OFF = Failure(
    kind=FailureKind.UNKNOWN_OUTCOME,
    code="voided",
    message="it was stopped before it had an outcome, because the plan was revised: it may have had its effect",
)


def request_plan(
    session: Session, task: Task, *, turn: int, feedback: str, now: int, failed: Call | None = None
) -> Drafts:
    """Requests the next plan: of this turn, or again after an attempt that `failed`. Calls before it are void."""
    after = _without_holds(session)
    failure = excess_of_turns(task, turn) or excess(after, task, NO_USAGE)
    if failure is not None:
        return escalation(session, task, failure)
    profile = task.profile
    call = calls.opened(
        CallKind.PLAN,
        now=now,
        due_at=calls.work_deadline(now, profile.planning_timeout_ms),
        retry=profile.retry,
        revision=failed.revision if failed else session.revision + 1,
        turn=turn,
        after=failed,
    )
    command = draft(
        commands.CreatePlan,
        call=call,
        not_after=calls.expires(now),
        planner=profile.planner,
        goal=task.goal,
        playbook=task.playbook,
        tools=profile.tools,
        limits=limits_left(after, task, turn),
        evaluation=session.evaluation,
        feedback=feedback,
        turn=turn,
        outcomes=_outcomes(session),
        **_known(session, task),
    )
    return [*voided(session), draft(events.PlanRequested, call=call, feedback=feedback, turn=turn), command]


def _without_holds(session: Session) -> Session:
    """The session once its calls are void: nobody is asked about them any more, but runs of tools may still report
    what they used."""
    return replace(session, calls={name: replace(call, limits=None) for name, call in session.calls.items()})


def _known(session: Session, task: Task) -> dict[str, Any]:
    """What a planner has to be told once: a conversation holds it, and no turn carries it again."""
    if session.conversation is not None:
        return {"conversation": session.conversation}
    return {
        "context": task.context,
        "memory": task.memory,
        "model": task.profile.model,
        "previous": session.plan,
    }


def _outcomes(session: Session) -> tuple[StepOutcome, ...]:
    """What the steps of the plan before came to, in the plan's order."""
    return tuple(
        StepOutcome(
            step_id=name,
            tool=state.tool,
            attempts=state.attempts,
            output=state.output,
            failure=_failure_of(state),
        )
        for name, state in session.steps.items()
    )


def _failure_of(state: StepState) -> Failure | None:
    match state.status:
        case StepStatus.FAILED:
            return state.failure
        case StepStatus.RUNNING:
            return _CUT_OFF
        case StepStatus.WAITING | StepStatus.SUCCEEDED:
            return None
        case status:
            assert_never(status)


def start_step(
    session: Session, task: Task, step_id: str, now: int, after: PendingRetry | None = None
) -> Drafts | None:
    """Starts an attempt at a step, `after` one that failed; None while it has to wait for running steps."""
    if must_wait(session, task, step_id):
        return None
    step = _step(session, step_id)
    wanted = _wanted(step)
    failure = excess(session, task, wanted)
    if failure is not None:
        return escalation(session, task, failure)
    call = calls.opened(
        CallKind.SELECTION,
        now=now,
        due_at=now + calls.micros(calls.SELECTION_MS),
        retry=step.retry or task.profile.retry,
        revision=session.revision,
        step_id=step_id,
        after=after.call if after else None,
        avoid=after.avoid if after else (),
        reserved=wanted,
        limits=_advice(session, task, step_id, wanted),
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
    """Whether a step has to wait for open calls: for a free place, or for what is reserved or held for them."""
    running = session.waiting_for(*OF_STEPS)
    if len(running) >= (task.limits.parallel_steps or 1):
        return True
    if not running and not any(call.limits for call in session.calls.values()):
        return False
    return excess(session, task, _wanted(_step(session, step_id))) is not None


def request_evaluation(
    session: Session, task: Task, number: int, now: int, failed: Call | None = None
) -> Drafts:
    """Requests the session's evaluation of this number, again after an attempt that `failed`.

    It takes place under limits that are used up, too: a result that is there by then should not be lost. An evaluator
    that asks a model is told that nothing is left.
    """
    assert session.plan is not None  # noqa: S101 - without a plan nothing is evaluated
    policy = task.profile.evaluation
    remaining = tuple(
        name for name, state in session.steps.items() if state.status is not StepStatus.SUCCEEDED
    )
    point = EvaluationPoint.STEP if remaining else EvaluationPoint.PLAN
    call = calls.opened(
        CallKind.EVALUATION,
        now=now,
        due_at=calls.work_deadline(now, policy.timeout_ms),
        retry=task.profile.retry,
        revision=session.revision,
        # One evaluation differs from the next by its number, as steps differ by their names.
        step_id=f"evaluation-{number}",
        after=failed,
    )
    command = draft(
        commands.EvaluateTask,
        call=call,
        not_after=calls.expires(now),
        evaluator=policy.evaluator,
        settings=policy.settings,
        model=_bare(task.profile.model),
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
        conversation=session.conversation,
        limits=limits_left(session, task, session.current_turn),
    )
    return [draft(events.EvaluationRequested, call=call, point=point), command]


def retry_call(session: Session, task: Task, retry: PendingRetry, now: int) -> Drafts | None:
    """The next attempt at a failed call; None while a step has to wait for running steps."""
    failed = retry.call
    match failed.failed_kind:
        case CallKind.PLAN:
            return request_plan(
                session, task, turn=session.current_turn, feedback=session.feedback, now=now, failed=failed
            )
        case CallKind.EVALUATION:
            return request_evaluation(session, task, session.evaluations, now, failed)
        case CallKind.SELECTION | CallKind.TOOL:
            return start_step(session, task, failed.step_id, now, retry)
        case CallKind.REVIEW | CallKind.RECOVERY | CallKind.UNKNOWN as kind:
            raise ContractError(
                f"call {failed.call_id} failed as {kind}, which this version cannot try again: "
                "run the version that opened it"
            )
        case kind:
            assert_never(kind)


def _bare(model: ModelPolicy | None) -> ModelPolicy | None:
    """A model without what the agent is told, which may be long."""
    return replace(model, instructions=None, examples=None) if model else None


def _advice(session: Session, task: Task, step_id: str, wanted: Usage) -> Limits | None:
    """What models may use that choose a tool for the step, or advise where it fails.

    It takes nothing of what the plan's other steps reserve, and leaves as much for each step that could start now,
    and for whatever comes before one of them ends.
    """
    if not limits_models(task):
        return None
    assert session.plan is not None  # noqa: S101 - steps belong to a plan
    later = (
        step.reserve
        for step in session.plan.steps
        if step.reserve
        and step.step_id != step_id
        and session.steps[step.step_id].status is StepStatus.WAITING
    )
    startable = {*session.ready, step_id}
    return advice_limits(session, task, total_usage(wanted, *later), len(startable) + 1)


def _wanted(step: Step) -> Usage:
    return replace(step.reserve, tool_calls=1) if step.reserve else _ONE_RUN


def _step(session: Session, step_id: str) -> Step:
    assert session.plan is not None  # noqa: S101 - steps belong to a plan
    return next(step for step in session.plan.steps if step.step_id == step_id)

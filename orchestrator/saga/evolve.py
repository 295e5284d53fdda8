"""`evolve(state, event) -> state`: what each of the orchestrator's own events means for a session.

Only these functions change state. Once released, one is frozen: new behaviour is a new event or version.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from orchestrator.errors import ContractError
from orchestrator.messages import events
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.call_kinds import CALL_KINDS, IN_FLIGHT, OF_STEPS
from orchestrator.messages.plans import dependencies
from orchestrator.messages.types import (
    Call,
    CallKind,
    Document,
    Failure,
    OnExhausted,
    Plan,
    RecoveryDecision,
    Usage,
)
from orchestrator.messages.usage import NO_USAGE, of_models, total_usage
from orchestrator.messages.values import steps_named
from orchestrator.saga.calls import AWAITED_MS, CANCEL_MS, micros, no_reply
from orchestrator.saga.state import (
    Outcome,
    PendingRetry,
    Phase,
    ReportedUsage,
    Session,
    StepState,
    StepStatus,
    Task,
)

_Report: TypeAlias = (
    events.PlanProposed
    | events.ReviewRecorded
    | events.PlanAccepted
    | events.PlanRejected
    | events.StepAssigned
    | events.StepSucceeded
    | events.CallFailed
    | events.RecoveryRecorded
    | events.EvaluationRecorded
    | events.UsageRecorded
)
"""Events that record what a reply has used."""


def evolve(session: Session | None, event: SessionEvent) -> Session:
    """The state after an event. Raises `ContractError` for an event out of sequence: history has a gap."""
    before = session or Session(correlation_id=event.correlation_id, agent=event.agent, tenant=event.tenant)
    if event.sequence != before.sequence + 1:
        raise ContractError(
            f"session {event.correlation_id}: event {event.sequence} follows event {before.sequence}"
        )
    return replace(_APPLIERS[type(event)](before, event), sequence=event.sequence)


def task_received(session: Session, event: events.TaskReceived) -> Session:
    task = Task(
        goal=event.goal,
        context=event.context,
        memory=event.memory,
        key=event.key,
        playbook=event.playbook,
        profile=event.profile,
        limits=event.limits,
        received_at=event.occurred_at,
        deadline_at=event.deadline_at,
        not_before=event.not_before or 0,
        parent=event.parent,
        reply_to=event.reply_to,
        labels=event.labels,
        submitted=event.submitted,
    )
    # Who may not ask for the session may not cancel it before it begins either.
    cancel = session.cancel if session.tenant == event.tenant else None
    return replace(
        session, phase=Phase.PLANNING, agent=event.agent, tenant=event.tenant, task=task, cancel=cancel
    )


def task_refused(session: Session, event: events.TaskRefused) -> Session:
    return replace(_ended(session, Outcome.REFUSED), give_up=event.failure)


def request_refused(session: Session, _event: events.RequestRefused) -> Session:
    return _ended(session, Outcome.REFUSED) if session.phase is Phase.AWAITED else session


def cancel_requested(session: Session, event: events.CancelRequested) -> Session:
    """Running tools get a last moment to reply; all other calls are closed at once."""
    limit = event.occurred_at + micros(CANCEL_MS)
    kept = {c.call_id: replace(c, due_at=min(c.due_at, limit)) for c in session.waiting_for(*IN_FLIGHT)}
    closed = _without_calls(session, *(c for c in session.calls.values() if c.call_id not in kept))
    awaited_until = event.occurred_at + micros(AWAITED_MS) if session.task is None else 0
    return replace(closed, cancel=event.reason, calls=kept, retries={}, awaited_until=awaited_until)


def plan_requested(session: Session, event: events.PlanRequested) -> Session:
    session = _without_calls(session, *session.calls.values())
    return replace(
        session,
        phase=Phase.PLANNING,
        revision=event.call.revision,
        turn=event.turn,
        feedback=event.feedback,
        proposed=None,
        proposal=None,
        reviews=(),
        ready=(),
        unevaluated=False,
        retries={},
        calls={event.call.call_id: event.call},
        reported=tuple(
            reply
            for reply in session.reported
            if reply.revision >= event.call.revision - 1 or reply.call_id in session.uncounted
        ),
    )


def plan_proposed(session: Session, event: events.PlanProposed) -> Session:
    return replace(
        _answered(session, event),
        proposed=event.plan,
        proposal=event.call,
        conversation=event.conversation or session.conversation,
        reviews=(),
        calls={call.call_id: call for call in event.reviews},
    )


def review_recorded(session: Session, event: events.ReviewRecorded) -> Session:
    return replace(_answered(session, event), reviews=(*session.reviews, event.review))


def plan_accepted(session: Session, event: events.PlanAccepted) -> Session:
    plan = event.plan
    missing = {step.step_id: len(dependencies(step)) for step in plan.steps}
    dependents: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        for name in sorted(dependencies(step)):
            dependents[name] = (*dependents.get(name, ()), step.step_id)
    return replace(
        _answered(session, event),
        phase=Phase.EXECUTING,
        plan=plan,
        proposed=None,
        proposal=None,
        conversation=event.conversation or session.conversation,
        steps={name: StepState(missing=count) for name, count in missing.items()},
        dependents=dependents,
        kept=_kept(plan),
        ready=tuple(name for name, count in missing.items() if not count),
        succeeded=0,
        unevaluated=not plan.steps,
        evaluation=None,
        calls={},
    )


def plan_rejected(session: Session, event: events.PlanRejected) -> Session:
    """Reviews that are still open are closed."""
    session = _answered(session, event)
    session = _without_calls(session, *session.calls.values())
    return replace(
        session,
        proposed=None,
        proposal=None,
        conversation=event.conversation or session.conversation,
        reviews=(),
        feedback=event.failure.message,
    )


def plan_step_ready(session: Session, event: events.PlanStepReady) -> Session:
    name = event.step.step_id
    state = replace(session.steps[name], status=StepStatus.RUNNING, attempts=event.call.attempt)
    return replace(
        session,
        steps={**session.steps, name: state},
        ready=tuple(other for other in session.ready if other != name),
        # A step may have the name of an evaluation.
        retries={
            key: retry
            for key, retry in session.retries.items()
            if retry.call.step_id != name or retry.call.failed_kind not in OF_STEPS
        },
        calls={**session.calls, event.call.call_id: event.call},
    )


def step_assigned(session: Session, event: events.StepAssigned) -> Session:
    name = event.call.step_id
    state = replace(session.steps[name], tool=event.call.tool)
    return replace(
        _with_usage(session, event),
        steps={**session.steps, name: state},
        calls={**session.calls, event.call.call_id: event.call},
    )


def step_succeeded(session: Session, event: events.StepSucceeded) -> Session:
    name = event.call.step_id
    steps = dict(session.steps)
    steps[name] = replace(
        steps[name],
        status=StepStatus.SUCCEEDED,
        output=event.output,
        tool=event.call.tool or steps[name].tool,
        failure=None,
    )
    freed = []
    for other in session.dependents.get(name, ()):
        steps[other] = replace(steps[other], missing=steps[other].missing - 1)
        if not steps[other].missing:
            freed.append(other)
    _drop_unused_outputs(session, name, steps)
    return replace(
        _answered(session, event),
        steps=steps,
        ready=(*session.ready, *freed),
        succeeded=session.succeeded + 1,
        unevaluated=True,
    )


def step_failed(session: Session, event: events.StepFailed) -> Session:
    name = event.call.step_id
    state = replace(session.steps[name], status=StepStatus.FAILED, failure=event.failure)
    session = replace(session, steps={**session.steps, name: state})
    # What recovery said about it explains more than the failure of the tool.
    return session if session.give_up else _given_up(session, event.call, event.failure)


def call_failed(session: Session, event: events.CallFailed) -> Session:
    call = event.call
    session = _with_usage(session, event)
    steps = session.steps
    if call.failed_kind in OF_STEPS:
        steps = {**steps, call.step_id: replace(steps[call.step_id], failure=call.failure)}
    return replace(session, steps=steps, calls={**session.calls, call.call_id: call})


def call_timed_out(session: Session, event: events.CallTimedOut) -> Session:
    session = _without_calls(session, event.call)
    if event.next is not None:
        return replace(session, calls={**session.calls, event.next.call_id: event.next})
    if event.call.kind is CallKind.RECOVERY:
        return _given_up(session, event.call, event.call.failure or no_reply(event.call))
    return session


def recovery_recorded(session: Session, event: events.RecoveryRecorded) -> Session:
    call = event.call
    session = _answered(session, event)
    if event.decision is RecoveryDecision.EXHAUSTED:
        return _given_up(session, call, _explained(call.failure, event.reason))
    if event.spared:
        call = replace(call, spared=call.spared + 1)
    retry = PendingRetry(call=call, retry_at=event.retry_at or event.occurred_at, avoid=event.avoid)
    return replace(
        session,
        plan=_with_arguments(session.plan, call.step_id, event.arguments),
        retries={**session.retries, call.call_id: retry},
    )


def evaluation_requested(session: Session, event: events.EvaluationRequested) -> Session:
    return replace(
        session,
        phase=Phase.EVALUATING,
        unevaluated=False,
        evaluations=session.evaluations + (event.call.attempt == 1),
        retries={
            key: retry
            for key, retry in session.retries.items()
            if retry.call.failed_kind is not CallKind.EVALUATION
        },
        calls={**session.calls, event.call.call_id: event.call},
    )


def evaluation_recorded(session: Session, event: events.EvaluationRecorded) -> Session:
    return replace(
        _answered(session, event),
        phase=Phase.EXECUTING,
        evaluation=event.evaluation,
        result=event.result,
    )


def usage_recorded(session: Session, event: events.UsageRecorded) -> Session:
    session = _with_usage(session, event)
    if event.call.kind in (CallKind.SELECTION, CallKind.RECOVERY):
        # A run has the same id, and may still report what it used.
        return session
    uncounted = {key: runs for key, runs in session.uncounted.items() if key != event.call.call_id}
    return replace(session, uncounted=uncounted)


def task_completed(session: Session, _event: events.TaskCompleted) -> Session:
    return _ended(session, Outcome.COMPLETED)


def task_failed(session: Session, event: events.TaskFailed) -> Session:
    return replace(_ended(session, Outcome.FAILED), give_up=event.failure)


def task_cancelled(session: Session, _event: events.TaskCancelled) -> Session:
    return _ended(session, Outcome.CANCELLED)


def task_escalated(session: Session, event: events.TaskEscalated) -> Session:
    parked = _without_calls(session, *session.calls.values())
    return replace(parked, calls={}, retries={}, give_up=None, escalated=event.failure)


def _ended(session: Session, outcome: Outcome) -> Session:
    return replace(session, phase=Phase.ENDED, outcome=outcome, calls={}, retries={}, ready=())


def _answered(session: Session, event: _Report) -> Session:
    """The session without this call, and with its usage."""
    calls = {key: other for key, other in session.calls.items() if key != event.call.call_id}
    return replace(_with_usage(session, event), calls=calls)


def _with_usage(session: Session, event: _Report) -> Session:
    """The session with the usage of a reply, which is remembered if models used it."""
    used = total_usage(session.used, event.usage)
    call = event.call
    if not call.replied_at or of_models(event.usage) == NO_USAGE:
        return replace(session, used=used)
    reply = ReportedUsage(
        reply=event.causation_id, written_at=call.replied_at, call_id=call.call_id, revision=call.revision
    )
    return replace(session, used=used, reported=(*session.reported, reply))


def _without_calls(session: Session, *closed: Call) -> Session:
    """The session without these calls. Their usage may still be reported; a requested run counts already."""
    names = {call.call_id for call in closed}
    # The usage of a call in recovery was reported with its failure.
    runs = {
        call.call_id: CALL_KINDS[call.kind].unreported_runs
        for call in closed
        if call.kind is not CallKind.RECOVERY
    }
    return replace(
        session,
        calls={key: call for key, call in session.calls.items() if key not in names},
        uncounted={**session.uncounted, **runs},
        used=total_usage(session.used, Usage(tool_calls=sum(runs.values()))),
    )


def _kept(plan: Plan) -> tuple[str, ...]:
    """Steps whose outputs are kept until the end of the plan: for its evaluation, or for the next turn."""
    steps = tuple(step.step_id for step in plan.steps)
    if plan.open or any(not criterion.steps for criterion in plan.criteria):
        return steps
    named = steps_named(plan.result).union(*(criterion.steps for criterion in plan.criteria))
    return tuple(name for name in steps if name in named)


def _drop_unused_outputs(session: Session, done: str, steps: dict[str, StepState]) -> None:
    """Drops outputs that no step needs any more, now that this one is done."""
    assert session.plan is not None  # noqa: S101 - a step belongs to a plan
    step = next(step for step in session.plan.steps if step.step_id == done)
    for name in (*dependencies(step), done):
        users = session.dependents.get(name, ())
        if name not in session.kept and all(steps[user].status is StepStatus.SUCCEEDED for user in users):
            steps[name] = replace(steps[name], output=None)


def _given_up(session: Session, call: Call, failure: Failure) -> Session:
    """The session, to be escalated; unless its planner goes on from the failure of a step."""
    profile = session.task.profile if session.task else None
    reported = session.plan is not None and session.plan.open and call.failed_kind in OF_STEPS
    if reported and profile is not None and profile.on_exhausted is OnExhausted.REPORT:
        return session
    return replace(session, give_up=failure)


def _with_arguments(plan: Plan | None, step_id: str, arguments: Document | None) -> Plan | None:
    """The plan, its step with the arguments that recovery has mended."""
    if plan is None or arguments is None:
        return plan
    steps = (
        replace(one, arguments=arguments, planned=one.planned or one.arguments)
        if one.step_id == step_id
        else one
        for one in plan.steps
    )
    return replace(plan, steps=tuple(steps))


def _explained(failure: Failure | None, reason: str) -> Failure:
    if failure is None:
        return Failure(code="exhausted", message=reason)
    return replace(failure, message=f"{failure.message} ({reason})") if reason else failure


_APPLIERS: Final[dict[type[SessionEvent], Callable[[Session, Any], Session]]] = {
    events.TaskReceived: task_received,
    events.TaskRefused: task_refused,
    events.RequestRefused: request_refused,
    events.PlanRequested: plan_requested,
    events.PlanProposed: plan_proposed,
    events.ReviewRecorded: review_recorded,
    events.PlanAccepted: plan_accepted,
    events.PlanRejected: plan_rejected,
    events.PlanStepReady: plan_step_ready,
    events.StepAssigned: step_assigned,
    events.StepSucceeded: step_succeeded,
    events.StepFailed: step_failed,
    events.CallFailed: call_failed,
    events.CallTimedOut: call_timed_out,
    events.RecoveryRecorded: recovery_recorded,
    events.EvaluationRequested: evaluation_requested,
    events.EvaluationRecorded: evaluation_recorded,
    events.UsageRecorded: usage_recorded,
    events.CancelRequested: cancel_requested,
    events.TaskCompleted: task_completed,
    events.TaskFailed: task_failed,
    events.TaskCancelled: task_cancelled,
    events.TaskEscalated: task_escalated,
}

"""The default planner: playbooks."""

from collections.abc import Mapping
from typing import Any

from orchestrator.sdk import (
    Context,
    InvalidInput,
    PermanentError,
    Plan,
    PlanRequest,
    PlanStep,
    Playbook,
    is_of_type,
    planner,
    rendered,
    step,
)
from orchestrator.sdk.messages import Room, replace, types
from orchestrator_services.planner.compilation import CompiledPlaybook, compiled_playbook
from orchestrator_services.planner.matching import matching_playbook, named_playbook, playbooks


@planner("playbook", check=compiled_playbook)
async def by_playbook(request: PlanRequest, context: Context) -> Plan:
    """The plan of a playbook, its inputs filled in from the task's context.

    The playbook is the one that the request names, or the one whose `match` is true for the task.

    A revision must differ from the previous plan, because the playbook was changed meanwhile: the same plan would
    be rejected, or miss the goal, again.
    """
    compiled = await playbooks.prepared(context.definitions.playbooks)
    if request.playbook:
        found = named_playbook(request.playbook, compiled)
    else:
        found = await matching_playbook(_task(request, context), compiled)
    plan = _plan(found, _inputs(found.playbook, request.context))
    if request.previous is not None and _same(plan.plan, request.previous):
        feedback = f": {request.feedback}" if request.feedback else ""
        raise PermanentError(
            f"playbook {found.playbook.label} makes the same plan as before{feedback}",
            code="playbook_cannot_revise",
        )
    return plan


def _task(request: PlanRequest, context: Context) -> dict[str, Any]:
    """What `match` sees as `task`."""
    return {
        "goal": request.goal,
        "context": request.context,
        "agent": context.agent,
        "tenant": context.tenant,
    }


def _inputs(playbook: Playbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by name. Raises `InvalidInput` that lists each one that is missing or of another type."""
    inputs: dict[str, Any] = {}
    problems: list[str] = []
    for name, declared in playbook.inputs.items():
        if name not in given and declared.is_required:
            problems.append(f"{name} ({declared.type}) is missing")
        elif name in given and not is_of_type(given[name], declared.type):
            problems.append(f"{name} must be of type {declared.type}, not {given[name]!r:.80}")
        inputs[name] = given.get(name, declared.default)
    if problems:
        raise InvalidInput(
            f"the task's context does not fit playbook {playbook.label}: {'; '.join(problems)}",
            code="inputs_do_not_fit",
        )
    return inputs


def _plan(found: CompiledPlaybook, inputs: Mapping[str, Any]) -> Plan:
    playbook = found.playbook
    rationale = f"playbook {playbook.label}"
    room = Room()
    return Plan(
        [_step(name, playbook, inputs, room) for name in playbook.steps],
        result=rendered(playbook.result, inputs, room),
        success=found.criteria,
        rationale=f"{rationale}: {playbook.description}" if playbook.description else rationale,
        playbook=playbook.label,
    )


def _step(name: str, playbook: Playbook, inputs: Mapping[str, Any], room: Room) -> PlanStep:
    written = playbook.steps[name]
    return step(
        name,
        written.tool,
        capability=written.capability,
        arguments=rendered(written.arguments, inputs, room),
        after=written.after,
        retry=written.retry.policy() if written.retry else None,
        timeout=written.timeout,
        fallback=written.fallback,
    )


def _same(plan: types.Plan, previous: types.Plan) -> bool:
    """Whether two plans do the same, regardless of what made them, where their values are stored, and which arguments
    recovery has mended."""
    return _comparable(plan) == _comparable(previous)


def _comparable(plan: types.Plan) -> types.Plan:
    steps = tuple(
        replace(one, arguments=_by_hash(one.planned or one.arguments), planned=None) for one in plan.steps
    )
    return types.Plan(
        steps=steps,
        result=_by_hash(plan.result) if plan.result else None,
        criteria=plan.criteria,
    )


def _by_hash(document: types.Document) -> types.Document:
    body = document.body
    return replace(document, body=replace(body, inline=None, uri=None) if body else None)

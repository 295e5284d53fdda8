"""One request chooses who does a task; then the session goes on as that agent's would."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from orchestrator.sdk import (
    Context,
    PermanentError,
    Plan,
    Planner,
    PlanRequest,
    ServiceContext,
    planner,
)
from orchestrator.sdk.messages import types
from orchestrator_services.models import model_client
from orchestrator_services.policies import refusal
from orchestrator_services.strategies.allowance import Allowance
from orchestrator_services.strategies.notes import note, notes
from orchestrator_services.strategies.prompts import instructions_for, listed, model_of, task_prompt
from orchestrator_services.strategies.recall import require_store
from orchestrator_services.strategies.routes import ROUTE, ROUTER, Route, chosen, routes

_RULE: Final = "You do not do the task. You choose who does it, by what each is for."
_PLANNED: Final = "planned"
"""Kind of the note of a plan, for planners that have no conversation."""
_NOTES: Final = (ROUTE, _PLANNED)


@planner(ROUTER)
async def router(request: PlanRequest, context: Context) -> Plan:
    """The plan of the agent or playbook that is chosen in the first turn, and followed from then on.

    Its planner, model, instructions and output hold. The tools are those that both agents allow; limits, reviewers
    and evaluation are the router's own.
    """
    require_store(context.values)
    allowance = Allowance(request.limits, context)
    added: list[dict[str, Any]] = []
    profile = chosen(request.conversation)
    if profile is None:
        route, why = await _choice(request, context, allowance)
        profile = route.profile
        added.append(route.note(why))
    routed = dataclasses.replace(_routed(request, profile, context), limits=allowance.limits())
    made = await _planner_of(profile, context).make(routed, context)
    if isinstance(made, Plan):
        _check_tools(made.plan, profile.tools, context)
        if not made.messages:
            # A planner without a conversation is given its plan before.
            added.append(note(_PLANNED, plan=msgspec.to_builtins(made.plan)))
        made.messages = (*added, *made.messages)
    return made


async def _choice(request: PlanRequest, context: Context, allowance: Allowance) -> tuple[Route, str]:
    """The route that the model chooses, and why. Where there is one only, nobody is asked."""
    candidates = await routes(context.definitions, context.agent)
    if not candidates:
        raise PermanentError(
            f"the router {context.agent} has nobody to choose: apply an agent or a playbook with a description, which "
            "its routes allow",
            code="no_route",
        )
    if len(candidates) == 1:
        return candidates[0], ""
    model = model_of(request)
    described = [f"{route.name}: {route.description}" for route in candidates]
    answer = await model_client().ask(
        model,
        task_prompt(request, model),
        context,
        instructions=await instructions_for(model, context, _RULE, listed("To choose from:", described)),
        output_schema=_schema(candidates),
        budget=allowance.budget(),
    )
    return next(route for route in candidates if route.name == answer["choice"]), answer.get("why", "")


def _schema(candidates: Sequence[Route]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "why": {"type": "string", "description": "In a sentence."},
            "choice": {"type": "string", "enum": [route.name for route in candidates]},
        },
        "required": ["choice"],
        "additionalProperties": False,
    }


def _routed(request: PlanRequest, profile: types.AgentProfile, context: Context) -> PlanRequest:
    """The request as the chosen agent would get it."""
    conversation = request.conversation
    own = tuple(one for one in conversation.messages if one.get("kind") not in _NOTES)
    before = next(notes(conversation, _PLANNED), None)
    return dataclasses.replace(
        request,
        playbook=profile.playbook or request.playbook,
        tools=_both(request.tools, profile.tools, context),
        model=profile.model,
        conversation=dataclasses.replace(conversation, messages=own),
        previous=msgspec.convert(before["plan"], types.Plan) if before else request.previous,
    )


def _both(own: types.ToolPolicy, routed: types.ToolPolicy, context: Context) -> types.ToolPolicy:
    """A policy that allows the tools that both allow. Patterns have no intersection: it names the tools."""
    allowed = [
        name
        for name in sorted(context.definitions.tools)
        if not refusal(name, own) and not refusal(name, routed)
    ]
    # An empty list would allow everything.
    return types.ToolPolicy(allow=tuple(allowed), deny=() if allowed else ("*",))


def _check_tools(plan: types.Plan, policy: types.ToolPolicy, context: Context) -> None:
    """The platform holds the router's policy; this holds the chosen agent's, whatever its planner does with it."""
    known = context.definitions.tools
    for step in plan.steps:
        capable = [name for name, tool in known.items() if step.capability in tool.capabilities]
        for name in (*([step.tool] if step.tool else capable), *step.fallback):
            if denied := refusal(name, policy):
                raise PermanentError(f"step {step.step_id}: {denied}", code="tool_not_allowed")


def _planner_of(profile: types.AgentProfile, context: Context) -> Planner:
    if not isinstance(context, ServiceContext):
        raise PermanentError("the router runs in a service, which knows the planners", code="no_planners")
    return context.plugins.get(Planner, profile.planner)

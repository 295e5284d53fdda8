"""One turn of a durable agent: the calls of its model as steps, or its output as the result."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json, to_jsonable_python

from orchestrator.sdk import Context, InvalidInput, Plan, PlanRequest, PlanStep, step
from orchestrator.sdk.messages import types
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.toolsets import Route
from orchestrator_services.agents.turns import AgentRun
from orchestrator_services.models import ToolCall, TurnRequest
from orchestrator_services.models.port import Budget
from orchestrator_services.strategies.answers import answers_to, step_name
from orchestrator_services.strategies.prompts import LAST_TURN, instructions_for, not_accepted, task_prompt
from orchestrator_services.strategies.recall import Recalled, recalled, referenced
from orchestrator_services.strategies.tools import READ_ON, reading_on, tools_for
from orchestrator_services.tool_selector.arguments import Arguments

_UNNAMED = types.ModelPolicy(name="")
"""For an agent that is shown everything, and has a model of its own."""


async def planned(options: Options, request: PlanRequest, context: Context) -> Plan:
    """As the strategy `react` does, with the agent's own instructions, tools, output and model."""
    policy = _policy(options, request)
    memory = await recalled(request.conversation, context.values)
    calls = list(memory.history.open_calls) if memory.history else []
    answers = await answers_to(calls, request, context.values)
    outputs = {**memory.outputs, **{one.step: one.value for one in answers.references.values()}}
    run = AgentRun.prepared(
        options,
        TurnRequest(
            model=policy,
            instructions=await instructions_for(policy, context),
            history=memory.history,
            prompt=_prompt(options, request, policy, memory, calls),
            answers=answers.by_call,
            tools=_others(options, request, context, can_read_on=bool(outputs)),
            budget=Budget(request.limits.tokens, request.limits.cost_micro_usd),
        ),
        request.tools,
        await options.make_deps(context),
        context,
    )
    reply = await run.turn()
    return Plan(
        steps := _steps(reply.calls, run, request, outputs, context),
        open=bool(steps),
        result=None if steps else reply.output,
        rationale=reply.text if steps else "",
        messages=referenced(reply.messages, answers.references),
        memo=Recalled(reply.history, outputs),
    )


def _policy(options: Options, request: PlanRequest) -> types.ModelPolicy:
    policy = request.model or _UNNAMED
    if policy.output_schema:
        raise InvalidInput(
            f"the output of {options.name} is the output_type of its code: remove output from its profile",
            code="output_schema",
        )
    return policy


def _prompt(
    options: Options,
    request: PlanRequest,
    policy: types.ModelPolicy,
    memory: Recalled,
    calls: Sequence[ToolCall],
) -> str:
    parts = []
    if memory.history is None:
        parts.append(options.prompt(request) if options.prompt else task_prompt(request, policy))
    elif request.feedback and not calls:
        parts.append(not_accepted("answer", request.feedback))
    if request.limits.turns == 0:
        parts.append(LAST_TURN)
    return "\n\n".join(parts)


def _others(
    options: Options, request: PlanRequest, context: Context, *, can_read_on: bool
) -> Sequence[types.ToolDefinition]:
    """Tools of the platform that the agent may use besides its own: those that its profile allows by name.

    To read on is offered where there is something to read on in: else the agent is asked as without the platform.
    """
    if not request.tools.allow:
        return ()
    own = options.tool_name("")
    return [
        tool
        for tool in tools_for(request, context)
        if not tool.name.startswith(own) and (can_read_on or tool.name != READ_ON)
    ]


def _steps(
    calls: Sequence[ToolCall],
    run: AgentRun,
    request: PlanRequest,
    outputs: Mapping[str, types.Value],
    context: Context,
) -> list[PlanStep]:
    """Steps side by side; one that is `sequential` waits for those before it, and those after it wait for it."""
    steps: list[PlanStep] = []
    barrier = 0
    for place, call in enumerate(calls, start=1):
        route = run.routes.get(call.tool)
        alone = route is not None and route.offered.tool_def.sequential
        after = steps if alone else steps[max(0, barrier - 1) : barrier]
        tool, arguments = _called(call, route, run, outputs, context)
        steps.append(step(step_name(request.turn, place), tool, after=list(after), arguments=arguments))
        barrier = place if alone else barrier
    return steps


def _called(
    call: ToolCall,
    route: Route | None,
    run: AgentRun,
    outputs: Mapping[str, types.Value],
    context: Context,
) -> tuple[str, Mapping[str, Any]]:
    """The platform's tool of a call, and its arguments."""
    if route is None:
        tool = run.platform_names.to_platform(call.tool)
        return tool, reading_on(call.arguments, outputs) if tool == READ_ON else call.arguments
    if route.in_toolset:
        return route.tool, {"tool": route.in_toolset, "arguments": call.arguments}
    return route.tool, _as_announced(call, route, context)


def _as_announced(call: ToolCall, route: Route, context: Context) -> Mapping[str, Any]:
    """The arguments as the tool's schema has them: the library takes more than that, a number in quotes say."""
    definition = context.definitions.tools.get(route.tool)
    if definition is None or not Arguments.of(call.arguments, ()).problems(definition):
        return call.arguments
    try:
        fitting = to_jsonable_python(route.offered.args_validator.validate_json(to_json(call.arguments)))
    except ValueError:
        # A validator that needs the run's validation context, or values that are not JSON.
        return call.arguments
    return fitting if isinstance(fitting, dict) else call.arguments

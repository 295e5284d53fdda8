"""One turn of a durable agent: the calls of its model as steps, or its output as the result."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json, to_jsonable_python

from orchestrator.sdk import Context, InvalidInput, Plan, PlanRequest, PlanStep, step
from orchestrator.sdk.messages import types
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.toolsets import Route
from orchestrator_services.agents.turns import Asking
from orchestrator_services.models import ToolCall
from orchestrator_services.prompting.outputs import Shown
from orchestrator_services.strategies.answers import answers_to, step_name
from orchestrator_services.strategies.dialogue import Dialogue
from orchestrator_services.strategies.prompts import LAST_TURN, not_accepted, task_prompt
from orchestrator_services.strategies.tools import READ_ON, reading_on, tools_for
from orchestrator_services.tool_selector.arguments import Arguments

_UNNAMED = types.ModelPolicy(name="")
"""For an agent that is shown everything, and has a model of its own."""


async def planned(options: Options, request: PlanRequest, context: Context) -> Plan:
    """As the strategy `react` does, with the agent's own instructions, tools, output and model."""
    asking = Asking(options, request.tools)
    dialogue = await Dialogue.resumed(request, context, model=_policy(options, request), ask=asking.turn)
    answers = await answers_to(dialogue.open_calls, request, context.values)
    can_read_on = bool(dialogue.memory.outputs or answers.references)
    reply = await dialogue.turn(
        [Shown(text) for text in _prompt(options, dialogue)],
        answers=answers,
        tools=_others(options, request, context, can_read_on=can_read_on),
    )
    return Plan(
        steps := _steps(reply.calls, asking, dialogue),
        open=bool(steps),
        result=None if steps else reply.output,
        rationale=reply.text if steps else "",
        messages=dialogue.messages,
        memo=dialogue.memory,
    )


def _policy(options: Options, request: PlanRequest) -> types.ModelPolicy:
    policy = request.model or _UNNAMED
    if policy.output_schema:
        raise InvalidInput(
            f"the output of {options.name} is the output_type of its code: remove output from its profile",
            code="output_schema",
        )
    return policy


def _prompt(options: Options, dialogue: Dialogue) -> Iterator[str]:
    request = dialogue.request
    if not dialogue.has_begun:
        yield options.prompt(request) if options.prompt else task_prompt(request, dialogue.model)
    elif request.feedback and not dialogue.open_calls:
        yield not_accepted("answer", request.feedback)
    if request.limits.turns == 0:
        yield LAST_TURN


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


def _steps(calls: Sequence[ToolCall], asking: Asking, dialogue: Dialogue) -> list[PlanStep]:
    """Steps side by side; one that is `sequential` waits for those before it, and those after it wait for it."""
    steps: list[PlanStep] = []
    barrier = 0
    for place, call in enumerate(calls, start=1):
        route = asking.routes.get(call.tool)
        alone = route is not None and route.offered.tool_def.sequential
        after = steps if alone else steps[max(0, barrier - 1) : barrier]
        tool, arguments = _called(call, route, asking, dialogue)
        name = step_name(dialogue.request.turn, place)
        steps.append(step(name, tool, after=list(after), arguments=arguments))
        barrier = place if alone else barrier
    return steps


def _called(
    call: ToolCall, route: Route | None, asking: Asking, dialogue: Dialogue
) -> tuple[str, Mapping[str, Any]]:
    """The platform's tool of a call, and its arguments."""
    if route is None:
        tool = asking.names.to_platform(call.tool)
        arguments = call.arguments
        return tool, reading_on(arguments, dialogue.memory.outputs) if tool == READ_ON else arguments
    if route.in_toolset:
        return route.tool, {"tool": route.in_toolset, "arguments": call.arguments}
    return route.tool, _as_announced(call, route, dialogue.context)


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

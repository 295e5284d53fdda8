"""Turn by turn: the model asks for tools, sees what they returned, and thinks again."""

from typing import Final

from orchestrator.sdk import Context, Plan, PlanRequest, PlanStep, planner, step
from orchestrator.sdk.messages import types
from orchestrator_services.models import Budget, ToolCall, TurnRequest, model_client
from orchestrator_services.strategies.answers import answers_to, step_name
from orchestrator_services.strategies.prompts import (
    instructions_for,
    model_of,
    output_schema_of,
    task_prompt,
)
from orchestrator_services.strategies.recall import Recalled, recalled, referenced
from orchestrator_services.strategies.tools import READ_ON, reading_on, tools_for

_LAST_TURN: Final = (
    "This is the last turn: no more tools will run. Answer with what you know, and say what is missing."
)


@planner("react")
async def react(request: PlanRequest, context: Context) -> Plan:
    """One turn: the tools that the model asks for, as steps side by side; or its answer, as the result.

    A rejected plan or answer goes back to the model with the reason.
    """
    model = model_of(request)
    memory = await recalled(request.conversation, context.values)
    calls = list(memory.history.open_calls) if memory.history else []
    answers = await answers_to(calls, request, context.values)
    reply = await model_client().turn(
        TurnRequest(
            model=model,
            instructions=await instructions_for(model, context),
            history=memory.history,
            prompt=_prompt(request, model, memory, calls),
            answers=answers.by_call,
            tools=tools_for(request, context),
            output_schema=output_schema_of(model),
            budget=Budget(request.limits.tokens, request.limits.cost_micro_usd),
        ),
        context,
    )
    outputs = {**memory.outputs, **{one.step: one.value for one in answers.references.values()}}
    steps = [_step(call, request.turn, place, outputs) for place, call in enumerate(reply.calls, start=1)]
    return Plan(
        steps,
        open=bool(steps),
        result=None if steps else reply.output,
        rationale=reply.text if steps else "",
        messages=referenced(reply.messages, answers.references),
        memo=Recalled(reply.history, outputs),
    )


def _prompt(request: PlanRequest, model: types.ModelPolicy, memory: Recalled, calls: list[ToolCall]) -> str:
    """What the model is told besides the answers to its calls."""
    parts = []
    if memory.history is None:
        parts.append(task_prompt(request, model))
    elif request.feedback and not calls:
        parts.append(f"Your answer was not accepted. {request.feedback}")
    if request.limits.turns == 0:
        parts.append(_LAST_TURN)
    return "\n\n".join(parts)


def _step(call: ToolCall, turn: int, place: int, outputs: dict[str, types.Value]) -> PlanStep:
    arguments = call.arguments
    if call.tool == READ_ON:
        arguments = reading_on(arguments, outputs)
    return step(step_name(turn, place), call.tool, arguments=arguments)

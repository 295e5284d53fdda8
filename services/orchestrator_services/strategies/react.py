"""Turn by turn: the model asks for tools, sees what they returned, and thinks again."""

from collections.abc import Mapping, Sequence

from orchestrator.sdk import Context, Plan, PlanRequest, PlanStep, planner, step
from orchestrator.sdk.messages import types
from orchestrator_services.models import ToolCall, TurnReply
from orchestrator_services.prompting.outputs import Shown
from orchestrator_services.strategies.answers import Answers, answers_to, step_name
from orchestrator_services.strategies.dialogue import Dialogue
from orchestrator_services.strategies.prompts import LAST_TURN, not_accepted, output_schema_of, task_prompt
from orchestrator_services.strategies.tools import READ_ON, reading_on, tools_for


@planner("react")
async def react(request: PlanRequest, context: Context) -> Plan:
    """One turn: the tools that the model asks for, as steps side by side; or its answer, as the result.

    A rejected plan or answer goes back to the model with the reason.
    """
    dialogue = await Dialogue.resumed(request, context)
    return plan_of(await acted(dialogue), dialogue)


async def acted(dialogue: Dialogue) -> TurnReply:
    """What the model does in this turn, having seen what its calls came to."""
    request, calls = dialogue.request, dialogue.open_calls
    answers = await answers_to(calls, request, dialogue.context.values)
    prompt = []
    if not dialogue.has_begun:
        prompt.append(task_prompt(request, dialogue.model))
    elif request.feedback and not calls:
        prompt.append(not_accepted("answer", request.feedback))
    return await went_on(dialogue, prompt, answers)


async def went_on(dialogue: Dialogue, prompt: Sequence[str], answers: Answers | None = None) -> TurnReply:
    """What the model does when it is told this, besides the answers to its calls."""
    last = [LAST_TURN] if dialogue.request.limits.turns == 0 else []
    return await dialogue.turn(
        [Shown(text) for text in (*prompt, *last)],
        answers=answers or Answers(),
        tools=tools_for(dialogue.request, dialogue.context),
        output_schema=output_schema_of(dialogue.model),
    )


def plan_of(reply: TurnReply, dialogue: Dialogue) -> Plan:
    """The calls of a reply as steps, or its answer as the result."""
    outputs, turn = dialogue.memory.outputs, dialogue.request.turn
    steps = [_step(call, turn, place, outputs) for place, call in enumerate(reply.calls, start=1)]
    return Plan(
        steps,
        open=bool(steps),
        result=None if steps else reply.output,
        rationale=reply.text if steps else "",
        messages=dialogue.messages,
        memo=dialogue.memory,
    )


def _step(call: ToolCall, turn: int, place: int, outputs: Mapping[str, types.Value]) -> PlanStep:
    arguments = call.arguments
    if call.tool == READ_ON:
        arguments = reading_on(arguments, outputs)
    return step(step_name(turn, place), call.tool, arguments=arguments)

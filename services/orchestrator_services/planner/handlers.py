"""The planner service: has a planner make the plan that a session asks for."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from orchestrator.sdk import (
    Conversation,
    Conversations,
    InvalidInput,
    Opening,
    PermanentError,
    Plan,
    Planner,
    PlanRequest,
    Service,
    ServiceContext,
    TransientError,
    contained,
    failure_of,
    readable,
)
from orchestrator.sdk.messages import Message, commands, events, read_json, replace, steps_named, types
from orchestrator_services.expressions import ExpressionError, compiled
from orchestrator_services.planner.agents import agents_of_this_process
from orchestrator_services.planner.compilation import SUCCESS_VARIABLES, steps_needed

service = Service(
    "planner",
    announcement=agents_of_this_process,
    writes=(events.PlanCreated, events.PlanningFailed, events.ModelProgressed),
)

conversations: Final = Conversations()
"""Those of this process. A session's turns come to the same copy of the planner, as its key does."""

SMALL: Final = 1024
"""Values up to this many bytes stay inline without asking the value store, regardless of the inline limit."""

MOST_RATIONALE: Final = 500
"""Characters of a plan's rationale. Several messages and the session's state carry it; what a model said beside its
calls is in the conversation, in full."""


@service.on(commands.CreatePlan)
async def create_plan(message: commands.CreatePlan, context: ServiceContext) -> Message:
    """Replies `PlanCreated`, or `PlanningFailed` with the reason."""
    started = context.now()
    try:
        plan, conversation = await contained(_planned(message, context))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return context.write(
            events.PlanningFailed,
            call=message.call,
            failure=failure_of(error, "planner_error"),
            usage=context.usage(started),
        )
    return context.write(
        events.PlanCreated,
        call=message.call,
        plan=plan,
        conversation=conversation,
        usage=context.usage(started),
    )


async def _planned(
    message: commands.CreatePlan, context: ServiceContext
) -> tuple[types.Plan, types.Value | None]:
    """The plan, and the conversation after it."""
    if context.now() > message.not_after:
        raise TransientError("the command expired before a planner received it", code="expired")
    planner = context.plugins.get(Planner, message.planner)
    request = await _request(message, context)
    async with asyncio.timeout(context.seconds_left(message.call)):
        made: Any = await planner.make(request, context)
    if not isinstance(made, Plan):
        raise PermanentError(
            f"the planner {message.planner} returned {type(made).__name__}, not a Plan", code="planner_error"
        )
    plan = replace(
        made.plan,
        planner=message.planner,
        rationale=_shortened(made.plan.rationale),
        criteria=_with_steps_needed(made.plan),
    )
    head = await _conversation_after(made, message, request.conversation, context)
    return await _with_large_values_stored(plan, context), head


async def _conversation_after(
    made: Plan, message: commands.CreatePlan, conversation: Conversation, context: ServiceContext
) -> types.Value | None:
    if not made.messages:
        return conversation.head
    extended = await conversations.extend(
        conversation,
        made.messages,
        context.values,
        turn=message.turn,
        revision=message.call.revision,
        opening=Opening(context=message.context, memory=message.memory, model=message.model),
        memo=made.memo,
    )
    return extended.head


def _shortened(rationale: str) -> str:
    text = readable(rationale)
    return text if len(text) <= MOST_RATIONALE else f"{text[: MOST_RATIONALE - 1]}…"


def _with_steps_needed(plan: types.Plan) -> tuple[types.Criterion, ...]:
    """The criteria, with the steps they need where the planner left them out, so that not all outputs are kept.

    A criterion that is not CEL over outputs, result and goal is left to the agent's evaluator.
    """
    steps = [one.step_id for one in plan.steps]
    found: list[types.Criterion] = []
    for criterion in plan.criteria:
        needed = criterion.steps
        if not needed:
            with suppress(ExpressionError):
                expression = compiled(criterion.expression, SUCCESS_VARIABLES)
                needed = steps_needed(expression, steps, steps_named(plan.result))
        found.append(replace(criterion, steps=needed))
    return tuple(found)


async def _request(message: commands.CreatePlan, context: ServiceContext) -> PlanRequest:
    conversation = await conversations.read(message.conversation, context.values)
    opening = conversation.opening
    task_context = await context.values.load(message.context or opening.context)
    if task_context is None:
        task_context = {}
    if not isinstance(task_context, dict):
        raise InvalidInput(
            f"the task's context must be a JSON object, not {type(task_context).__name__}",
            code="context_not_an_object",
        )
    return PlanRequest(
        goal=message.goal,
        context=task_context,
        memory=await context.values.load(message.memory or opening.memory),
        playbook=message.playbook,
        tools=message.tools,
        revision=message.call.revision,
        previous=message.previous,
        evaluation=message.evaluation,
        feedback=message.feedback,
        limits=message.limits,
        turn=message.turn,
        outcomes=message.outcomes,
        conversation=conversation,
        model=message.model or opening.model,
    )


async def _with_large_values_stored(plan: types.Plan, context: ServiceContext) -> types.Plan:
    """The plan with its large documents in the value store: planners write all of them inline."""
    steps = [replace(one, arguments=await _stored(one.arguments, context)) for one in plan.steps]
    result = await _stored(plan.result, context) if plan.result else None
    return replace(plan, steps=tuple(steps), result=result)


async def _stored(document: types.Document, context: ServiceContext) -> types.Document:
    if document.body is None or document.body.size <= SMALL:
        return document
    return replace(document, body=await context.values.store(read_json(document.body)))

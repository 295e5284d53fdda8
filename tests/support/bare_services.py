"""Minimal services that run a session: a few lines for each role, without strategies."""

import inspect
from typing import TYPE_CHECKING, Any

from orchestrator.messages import commands, events
from orchestrator.messages.identity import idempotency_key
from orchestrator.messages.types import Call, CallKind, Evaluation, Failure, FailureKind, NextMove, Usage
from orchestrator.sdk import HandlerError, Planner, PlanRequest, Service, ServiceContext, Tool, tool_defined
from orchestrator.sdk.messages import Message, replace

if TYPE_CHECKING:
    from collections.abc import Mapping

planner = Service("planner")
selector = Service("tool-selector", writes=(events.ToolSelected, commands.ExecuteTool))
executor = Service("tool-executor")
evaluator = Service("evaluator")
recovery = Service("recovery")

SERVICES = (planner, selector, executor, evaluator, recovery)

MOST_ATTEMPTS = 3
"""Attempts at a call."""


@planner.on(commands.CreatePlan)
async def create_plan(message: commands.CreatePlan, context: ServiceContext) -> Message:
    found = context.plugins.by_name(Planner).get(message.planner)
    if found is None:
        failure = Failure(kind=FailureKind.INVALID_INPUT, code="unknown_planner", message="no such planner")
        return context.write(events.PlanningFailed, call=message.call, failure=failure)
    request = PlanRequest(
        goal=message.goal,
        context=await context.values.load(message.context) or {},
        memory=None,
        playbook=message.playbook,
        tools=message.tools,
        revision=message.call.revision,
        previous=message.previous,
        evaluation=message.evaluation,
        feedback=message.feedback,
        limits=message.limits,
    )
    plan = await found.make(request, context)
    return context.write(events.PlanCreated, call=message.call, plan=plan.plan)


@selector.on(events.PlanStepReady)
async def select_tool(message: events.PlanStepReady, context: ServiceContext) -> list[Message]:
    tool = context.definitions.tools[message.step.tool]
    call = replace(message.call, kind=CallKind.TOOL, tool=tool.name)
    selected = context.write(
        events.ToolSelected, call=message.call, tool=tool.name, timeout_ms=tool.timeout_ms
    )
    execution = context.write(
        commands.ExecuteTool,
        call=call,
        not_after=message.call.due_at,
        arguments=message.step.arguments,
        inputs=message.inputs,
        idempotency_key=idempotency_key(message.correlation_id, call.revision, call.step_id),
        timeout_ms=tool.timeout_ms,
    )
    return [selected, execution]


@executor.announces
def tools_that_run(platform: Any) -> list[events.ToolDefined]:
    return [tool_defined(tool.definition, platform.now()) for tool in platform.plugins.by_name(Tool).values()]


@executor.on(commands.ExecuteTool)
async def execute_tool(message: commands.ExecuteTool, context: ServiceContext) -> Message:
    tool = context.plugins.by_name(Tool)[message.call.tool]
    run = Usage(tool_calls=1)
    try:
        given = await context.fill(message.arguments, await context.outputs(message.inputs))
        output = tool(**tool.arguments(given, context))
        if inspect.isawaitable(output):
            output = await output
    except HandlerError as error:
        return context.write(
            events.ToolFailed, call=message.call, tool=tool.name, failure=error.failure, usage=run
        )
    value = await context.values.store(output)
    return context.write(events.ToolCompleted, call=message.call, tool=tool.name, output=value, usage=run)


@evaluator.on(commands.EvaluateTask)
async def evaluate_task(message: commands.EvaluateTask, context: ServiceContext) -> Message:
    outputs: Mapping[str, Any] = await context.outputs(message.outputs)
    result = None
    if message.result is not None and not message.remaining_steps:
        result = await context.values.store(await context.fill(message.result, outputs))
    move = NextMove.CONTINUE if message.remaining_steps else NextMove.FINISH
    found = Evaluation(goal_met=not message.remaining_steps, score=1.0, next=move)
    return context.write(events.TaskEvaluated, call=message.call, evaluation=found, result=result)


@recovery.on(events.PlanningFailed, events.ToolFailed, events.CallTimedOut)
async def recover(message: Any, context: ServiceContext) -> Message | None:
    call: Call | None = message.next if isinstance(message, events.CallTimedOut) else message.call
    failure = call.failure if call and isinstance(message, events.CallTimedOut) else message.failure
    if call is None or failure is None:
        return None
    if failure.kind in (FailureKind.TRANSIENT, FailureKind.UNKNOWN_OUTCOME) and call.attempt < MOST_ATTEMPTS:
        return context.write(events.RetryScheduled, call=call, delay_ms=500 * call.attempt)
    return context.write(
        events.RecoveryExhausted, call=call, failure=failure, reason="nothing is left to try"
    )

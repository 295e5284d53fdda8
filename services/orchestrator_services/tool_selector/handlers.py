"""The tool selector service: chooses a tool for each ready step, and requests its execution."""

import asyncio
from contextlib import suppress

from orchestrator.sdk import (
    CallKind,
    ContractError,
    Failure,
    FailureKind,
    PermanentError,
    Selection,
    Selector,
    Service,
    ServiceContext,
    ToolDefinition,
    UnavailableError,
    contained,
    failure_of,
)
from orchestrator.sdk.messages import (
    QUEUE_MS,
    Message,
    commands,
    events,
    idempotency_key,
    replace,
    rest_of,
    types,
)
from orchestrator_services.tool_selector.arguments import Arguments
from orchestrator_services.tool_selector.candidates import candidates, unfit
from orchestrator_services.tool_selector.settings import settings

service = Service(
    "tool-selector",
    writes=(events.ToolSelected, events.SelectionFailed, commands.ExecuteTool, events.ModelProgressed),
)


@service.on(events.PlanStepReady)
async def plan_step_ready(message: events.PlanStepReady, context: ServiceContext) -> list[Message]:
    """Writes `ToolSelected` and `ExecuteTool`, or `SelectionFailed` with the reason.

    A process reads all announced tools before it starts this service. A tool that is not found was never
    announced, so the failure is PERMANENT.
    """
    started = context.now()
    try:
        selection, tool = await contained(_selected(message, context))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        failure = failure_of(error, "selection_error")
        return [await _failed(message, failure, _usage(started, context), context)]
    selected = context.write(
        events.ToolSelected,
        call=message.call,
        tool=tool.name,
        tool_version=tool.version,
        timeout_ms=message.step.timeout_ms or tool.timeout_ms or message.step_timeout_ms,
        at_most_once=tool.at_most_once,
        pool=tool.pool,
        alternatives=tuple(name for name in selection.candidates if name != tool.name),
        reason=_reason(selection, tool),
        usage=_usage(started, context),
    )
    return [selected, _execution(message, selected, context)]


async def _selected(
    message: events.PlanStepReady, context: ServiceContext
) -> tuple[Selection, ToolDefinition]:
    selection = await _selection(message, context)
    async with asyncio.timeout(context.seconds_left(message.call)):
        return selection, await _chosen(selection, context)


async def _selection(message: events.PlanStepReady, context: ServiceContext) -> Selection:
    step = message.step
    arguments = await _arguments(step, context)
    possible = candidates(step, arguments, context.definitions.tools, message.tools, message.call.avoid)
    return Selection(
        step=step,
        candidates=possible,
        avoid=frozenset(message.call.avoid),
        literal_arguments=arguments.literal,
        bound_arguments=arguments.bound,
        limits=message.call.limits or types.Limits(),
    )


async def _chosen(selection: Selection, context: ServiceContext) -> ToolDefinition:
    """What the selector chose. Only the candidates are allowed."""
    name = settings().strategy
    selector = context.plugins.get(Selector, name)
    chosen = str(getattr(await selector.choose(selection, context), "name", None))
    if chosen not in selection.candidates:
        possible = ", ".join(selection.candidates)
        raise PermanentError(
            f"the tool selector {name} chose {chosen}, which is not a candidate; the candidates are {possible}",
            code="selection_error",
        )
    return selection.candidates[chosen]


def _execution(
    message: events.PlanStepReady, selected: events.ToolSelected, context: ServiceContext
) -> commands.ExecuteTool:
    call: types.Call = replace(
        message.call,
        kind=CallKind.TOOL,
        tool=selected.tool,
        alternatives=selected.alternatives,
        limits=rest_of(message.call.limits, selected.usage),
    )
    return context.write(
        commands.ExecuteTool,
        call=call,
        not_after=context.now() + QUEUE_MS * 1000,
        tool_version=selected.tool_version,
        arguments=message.step.arguments,
        inputs=message.inputs,
        idempotency_key=idempotency_key(message.correlation_id, call.revision, message.step.step_id),
        timeout_ms=selected.timeout_ms,
        at_most_once=selected.at_most_once,
        pool=selected.pool,
    )


async def _failed(
    message: events.PlanStepReady, failure: Failure, usage: types.Usage, context: ServiceContext
) -> events.SelectionFailed:
    """The failure; with the arguments and the tools, where somebody may mend the one to fit the other."""
    step = message.step
    arguments: Arguments | None = None
    if failure.kind is FailureKind.INVALID_INPUT:
        with suppress(ContractError, UnavailableError):
            arguments = await _arguments(step, context)
    if arguments is None:
        return context.write(events.SelectionFailed, call=message.call, failure=failure, usage=usage)
    return context.write(
        events.SelectionFailed,
        call=message.call,
        failure=failure,
        usage=usage,
        arguments=step.arguments,
        inputs=message.inputs,
        tools=unfit(step, arguments, context.definitions.tools, message.tools, message.call.avoid),
    )


async def _arguments(step: types.Step, context: ServiceContext) -> Arguments:
    return Arguments.of(await context.values.load(step.arguments.body), step.arguments.references)


def _usage(started: int, context: ServiceContext) -> types.Usage:
    """What the choice used. Rules use nothing, and their time is not worth a field in every message."""
    return context.usage(started) if context.used.model_requests else context.used


def _reason(selection: Selection, tool: ToolDefinition) -> str:
    step = selection.step
    if tool.name == step.tool:
        return "the step names it"
    if tool.name in step.fallback:
        return f"a fallback of the step, for {step.tool or step.capability}"
    others = len(selection.candidates) - 1
    return f"it has the capability {step.capability}" + (
        f"; chosen among {others + 1} tools" if others else ""
    )

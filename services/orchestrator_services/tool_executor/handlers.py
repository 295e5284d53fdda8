"""The tool executor service: runs the tools of this process, one run per command."""

import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, Final

from orchestrator.sdk import (
    OUTPUT_LIMIT,
    OUTPUT_NOT_JSON,
    ConfigurationError,
    ContractError,
    Failure,
    FailureKind,
    HandlerError,
    InvalidInput,
    PermanentError,
    Platform,
    Service,
    ServiceContext,
    Tool,
    ToolSource,
    TransientError,
    UnavailableError,
    contained,
    failure_of,
    output_not_json,
    tool_defined,
)
from orchestrator.sdk.messages import Definition, Message, commands, events, replace, require_room, types
from orchestrator_services.tool_executor.isolated import isolated, warm
from orchestrator_services.tool_executor.listing import Listing
from orchestrator_services.tool_executor.lookup import Lookup
from orchestrator_services.tool_executor.pools import pool_of_this_process
from orchestrator_services.tool_executor.running import run
from orchestrator_services.tool_executor.supervision import Rhythm, RunTimedOut, supervised

logger: Final = logging.getLogger(__name__)

POOL: Final = pool_of_this_process()
service = Service(
    "tool-executor",
    at_most_once=lambda message: bool(message.at_most_once),
    group=POOL.group,
    takes=lambda message: POOL.has(message.pool),
    writes=(
        events.ToolStarted,
        events.ToolHeartbeat,
        events.ToolProgressed,
        events.ToolCompleted,
        events.ToolFailed,
        events.ModelProgressed,
    ),
    has_pools=True,
)

RHYTHM: Final = Rhythm()


@service.announces
def tools_of_this_process(platform: Platform) -> list[Definition]:
    """Announces every tool that runs here, for tool selectors."""
    now = platform.now()
    loaded = [tool for _, tool in sorted(platform.plugins.by_name(Tool).items())]
    here = [tool for tool in loaded if POOL.has(tool.definition.pool)]
    warm(here)
    return [tool_defined(tool.definition, now) for tool in here]


@service.discovers
async def tools_of_sources(platform: Platform) -> AsyncIterator[Iterable[Definition]]:
    """Announces the tools of every source that runs here, when its source names them."""
    lookup = _lookup(platform)
    sources = [one for one in lookup.sources.values() if POOL.has(one.pool)]
    async for definitions in Listing(sources, lookup).found():
        yield [tool_defined(one, platform.now()) for one in definitions]


@service.on(commands.ExecuteTool)
async def execute_tool(message: commands.ExecuteTool, context: ServiceContext) -> Message:
    """Replies `ToolCompleted`, or `ToolFailed` with the reason.

    1. A run that cannot be started fails, and does not count as a tool call.
    2. The tool runs within its timeout, which starts here.
    3. Its output is stored. From 2 on, a failure of an at-most-once tool leaves the outcome unknown.
    """
    started = context.now()
    try:
        tool, given, arguments = await contained(_prepared(message, context))
    except Exception as error:  # noqa: BLE001 - every failure is a reply
        failure = failure_of(error, "arguments_error")
        return _failed(message, context, failure, types.Usage(), repeatable=True)
    try:
        running = isolated(tool, given, message, context) if tool.isolation else run(tool, arguments)
        output = await contained(_output(running, tool, message, context))
    except Exception as error:
        at_most_once = message.at_most_once or tool.definition.at_most_once
        failure = _failure(error, tool, message, at_most_once)
        if not isinstance(error, HandlerError):
            # It is not one of those that its author had in mind: the reply has no stack.
            stack = None if isinstance(error, ConfigurationError) else error
            logger.warning("tool %s failed: %s", tool.name, failure.message, exc_info=stack)
        usage = context.usage(started, tool_calls=1)
        return _failed(message, context, failure, usage, repeatable=not at_most_once)
    return context.write(
        events.ToolCompleted,
        call=message.call,
        tool=tool.name,
        output=output,
        usage=context.usage(started, tool_calls=1),
    )


def _tool(message: commands.ExecuteTool, context: ServiceContext) -> Tool:
    """The tool to run. Raises `HandlerError` if the command expired, or the tool does not run here."""
    if context.now() > message.not_after:
        late = (context.now() - message.not_after) // 1000
        raise TransientError(
            f"the command expired {late} ms ago, before an executor received it", code="expired"
        )
    name = message.call.tool
    tool = _lookup(context).tool(name)
    if tool is None:
        raise PermanentError(
            f"tool {name} not found in this executor: load its module here, or give the tool a pool of its own",
            code="tool_not_here",
        )
    here = tool.definition.version
    if here != message.tool_version:
        # During an upgrade both versions run. The next attempt selects from what is announced by then.
        raise TransientError(
            f"version {message.tool_version} of {name} was selected, but this executor runs version {here}",
            code="tool_version_differs",
        )
    return tool


def _lookup(process: Platform | ServiceContext) -> Lookup:
    return Lookup(process.plugins.by_name(Tool), process.plugins.by_name(ToolSource))


async def _prepared(
    message: commands.ExecuteTool, context: ServiceContext
) -> tuple[Tool, Any, dict[str, Any]]:
    """The tool, what it was given, and the same as keyword arguments."""
    tool = _tool(message, context)
    given = await _arguments(message, context)
    return tool, given, tool.arguments(given, context)


async def _output(
    running: Coroutine[Any, Any, Any], tool: Tool, message: commands.ExecuteTool, context: ServiceContext
) -> types.Value:
    return await _stored(await _run(running, tool, message, context), tool, context)


async def _arguments(message: commands.ExecuteTool, context: ServiceContext) -> Any:
    try:
        require_room(message.arguments, message.inputs)
    except ContractError as error:
        raise _not_filled(error) from error
    outputs = await context.outputs(message.inputs)
    try:
        return await context.fill(message.arguments, outputs)
    except (ConfigurationError, UnavailableError):
        # Of the value store: other arguments change nothing about it.
        raise
    except Exception as error:
        raise _not_filled(error) from error


def _not_filled(error: Exception) -> InvalidInput:
    return InvalidInput(
        f"the arguments cannot be filled in from the steps' outputs: {error}", code="arguments_not_filled"
    )


async def _run(
    running: Coroutine[Any, Any, Any], tool: Tool, message: commands.ExecuteTool, context: ServiceContext
) -> Any:
    has_started = False

    async def heartbeat(elapsed: float) -> None:
        nonlocal has_started
        alive: Message
        if has_started:
            elapsed_ms = round(elapsed * 1000)
            alive = context.write(
                events.ToolHeartbeat, call=message.call, worker=context.instance, elapsed_ms=elapsed_ms
            )
        else:
            alive = context.write(events.ToolStarted, call=message.call, worker=context.instance)
        has_started = True
        await context.emit(alive)

    name = f"tool {tool.name}"
    return await supervised(running, name, message.timeout_ms / 1000, heartbeat, RHYTHM)


async def _stored(output: Any, tool: Tool, context: ServiceContext) -> types.Value:
    try:
        return await context.values.store(output)
    except ContractError as error:
        raise output_not_json(tool.name, output, error) from error


def _failure(error: Exception, tool: Tool, message: commands.ExecuteTool, at_most_once: bool) -> Failure:
    """The failure of a run that had started."""
    if isinstance(error, RunTimedOut):
        kind = FailureKind.UNKNOWN_OUTCOME if at_most_once else FailureKind.TRANSIENT
        text = f"{tool.name} did not return within its timeout of {message.timeout_ms} ms"
        if error.blocked_s:
            text += (
                f": it blocked the event loop for {error.blocked_s:.1f} s; declare it without `async`, or do its "
                "blocking work in asyncio.to_thread"
            )
        return Failure(kind=kind, code="timeout", message=text)
    failure = failure_of(error, "tool_error")
    said_by_the_tool = isinstance(error, HandlerError) and failure.code not in (OUTPUT_LIMIT, OUTPUT_NOT_JSON)
    if at_most_once and not said_by_the_tool:
        # It may have failed after its effect; only an error that the tool itself raises says otherwise.
        return replace(failure, kind=FailureKind.UNKNOWN_OUTCOME)
    return failure


def _failed(
    message: commands.ExecuteTool,
    context: ServiceContext,
    failure: Failure,
    usage: types.Usage,
    *,
    repeatable: bool,
) -> events.ToolFailed:
    """The failure; with the arguments where they did not fit, so that recovery may mend them and try again. A tool
    that had begun what it must not do twice is for the planner alone."""
    given = failure.kind is FailureKind.INVALID_INPUT and repeatable
    return context.write(
        events.ToolFailed,
        call=message.call,
        tool=message.call.tool,
        failure=failure,
        usage=usage,
        arguments=message.arguments if given else None,
        inputs=message.inputs if given else {},
    )

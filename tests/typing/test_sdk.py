"""How the SDK's decorators and contexts are typed for plug-ins. mypy checks every `assert_type`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_type

from orchestrator.sdk import (
    Context,
    Definitions,
    Delivery,
    Evaluation,
    EvaluationRequest,
    Evaluator,
    Event,
    FailedCall,
    Metrics,
    Middleware,
    ModelDelta,
    Next,
    Output,
    Plan,
    Planner,
    PlanRequest,
    PlanReview,
    PlanStep,
    Plugins,
    PluginSettings,
    Positions,
    Recovery,
    RecoveryStrategy,
    Retry,
    Review,
    Reviewer,
    Selection,
    Selector,
    Service,
    ServiceContext,
    Sink,
    SinkPlugin,
    Subscriber,
    TimelineEntry,
    Tool,
    ToolDefinition,
    Usage,
    Values,
    discover,
    evaluator,
    middleware,
    planner,
    recovery,
    reviewer,
    sink,
    step,
    subscriber,
    tool,
    tool_selector,
)
from orchestrator.sdk.messages import Message, SessionEvent, commands, events, types


@tool("stock.level", capability="stock")
def stock_level(item: str, shop: str = "north") -> dict[str, int]:
    """Pieces of an item."""
    return {"pieces": len(item) + len(shop)}


@tool(at_most_once=True, pool="gpu")
async def reserve(item: str, context: Context) -> str:
    """Reserves an item."""
    return f"{item} {context.idempotency_key}"


def test_a_tool_keeps_the_types_of_its_function() -> None:
    as_tool: Tool = stock_level

    assert_type(stock_level("apple", shop="south"), dict[str, int])
    assert_type(stock_level.definition, ToolDefinition)
    assert as_tool.name == "stock.level"


async def uses_of_an_async_tool(context: Context) -> None:
    assert_type(await reserve("apple", context=context), str)


@planner("short", profile=types.AgentProfile(name="hurried"))
async def short(request: PlanRequest) -> Plan:
    level = step("level", stock_level, item=request.context["item"])
    assert_type(level, PlanStep)
    assert_type(level.output.at("/pieces"), Output)
    return Plan([level], result={"pieces": level.output}, success="outputs.level.pieces > 0")


@planner("long")
async def long(request: PlanRequest, context: Context) -> Plan:
    assert_type(request.context, dict[str, Any])
    assert_type(context.definitions.tools, Mapping[str, ToolDefinition])
    return Plan([step("level", "stock.level")])


@reviewer("strict", group="strict-reviewer")
async def strict(request: PlanReview, context: Context) -> Review:
    raise NotImplementedError


@reviewer("easy")
async def easy(request: PlanReview) -> Review | None:
    return None


@reviewer("silent")
async def silent(request: PlanReview) -> None: ...


@subscriber("*Failed", group="alerts", ordered=True)
async def alert(event: Event) -> None:
    assert_type(event.type, str)


@subscriber("*")
async def count(event: Event, context: Context) -> int:
    context.metrics.count("seen", kind=event.type)
    return 1


@evaluator("strict")
async def judge(request: EvaluationRequest, context: Context) -> Evaluation:
    raise NotImplementedError


@recovery("once")
async def once(failed: FailedCall) -> Recovery:
    return Retry(100)


@recovery("always")
async def always(failed: FailedCall, context: Context) -> Retry:
    return Retry(100)


@tool_selector("first")
async def first(selection: Selection) -> ToolDefinition:
    return next(iter(selection.candidates.values()))


@middleware("tool-executor")
async def timed(message: Message, context: ServiceContext, call_next: Next) -> Sequence[Message]:
    return await call_next(message, context)


@sink("ledger", "Task*")
class Ledger:
    def positions(self) -> Positions:
        return {}

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None: ...

    def close(self) -> None: ...


@sink("made")
def make() -> Sink:
    raise NotImplementedError


def test_decorators_return_plug_ins_of_their_role() -> None:
    assert_type(short, Planner)
    assert_type(long, Planner)
    assert_type(strict, Reviewer)
    assert_type(easy, Reviewer)
    assert_type(silent, Reviewer)
    assert_type(alert, Subscriber)
    assert_type(count, Subscriber)
    assert_type(judge, Evaluator)
    assert_type(once, RecoveryStrategy)
    assert_type(always, RecoveryStrategy)
    assert_type(first, Selector)
    assert_type(timed, Middleware)
    assert_type(make, SinkPlugin)
    # mypy takes a decorated class for the class that it was, whatever the decorator returns.
    declared: object = Ledger
    assert isinstance(declared, SinkPlugin)


service = Service("stock")


@service.on(commands.ExecuteTool)
async def execute_tool(message: commands.ExecuteTool, context: ServiceContext) -> events.ToolFailed | None:
    assert_type(context.plugins.get(Tool, "stock.level"), Tool)
    assert_type(context.usage(context.now(), tool_calls=1), Usage)
    started = context.write(events.ToolStarted, call=message.call)
    assert_type(started, events.ToolStarted)
    await context.emit(started)
    assert_type(await context.outputs(message.inputs), dict[str, Any])
    return None


@service.on(events.ToolCompleted, events.ToolFailed)
async def observed(message: events.ToolCompleted | events.ToolFailed, context: Context) -> None:
    """A handler that only needs a `Context` says so."""


def test_a_handler_stays_the_function_it_is() -> None:
    assert_type(service.consumer_group, str)
    assert service.handlers[events.ToolFailed] is observed


async def uses_of_a_context(context: Context) -> None:
    """What every plug-in may use."""
    assert_type(context.correlation_id, str)
    assert_type(context.agent, str)
    assert_type(context.tenant, str)
    assert_type(context.idempotency_key, str)
    assert_type(context.now(), int)
    assert_type(context.definitions, Definitions)
    assert_type(context.values, Values)
    assert_type(context.metrics, Metrics)
    context.use(model_requests=1, tokens_input=10, tokens_cached=4, cost_usd=0.01)
    await context.progress("half of it", 0.5)
    request = context.next_model_request()
    await context.stream(ModelDelta(request=request, part=0, position=0, text="Three"))
    history = await context.history()
    assert_type(history.events, tuple[SessionEvent, ...])
    assert_type(history.plan, types.Plan | None)
    assert_type(history.timeline, tuple[TimelineEntry, ...])


class StockSettings(PluginSettings, prefix="STOCK"):
    limit: int = 10
    shops: tuple[str, ...] = ()


def test_settings_are_of_their_class() -> None:
    settings = StockSettings.read({"ORCHESTRATOR_STOCK_LIMIT": "2"})

    assert_type(settings, StockSettings)
    assert_type(settings.limit, int)
    assert_type(StockSettings(limit=3).shops, tuple[str, ...])


def test_plug_ins_are_of_their_role() -> None:
    plugins = Plugins.of(stock_level, short, easy, make, StockSettings)

    assert_type(plugins.by_name(Tool), Mapping[str, Tool])
    assert_type(plugins.by_name(SinkPlugin), Mapping[str, SinkPlugin])
    assert_type(plugins.get(Planner, "short"), Planner)
    assert_type(plugins.every_service(), dict[str, Service])
    found: Callable[[], Plugins] = discover
    assert found is discover

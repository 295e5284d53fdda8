"""Whatever a planner, evaluator, selector, recovery strategy, model, reviewer, subscriber or middleware raises or
returns, its session goes on: one reply for each call, and a dead letter where there is no reply."""

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace
from orchestrator_services import evaluator as evaluators
from orchestrator_services import planner as planners
from orchestrator_services import recovery as recoveries
from orchestrator_services import tool_selector as selectors

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.errors import UnavailableError
from orchestrator.messages import events
from orchestrator.messages.types import CallKind, Document, FailureKind, Value
from orchestrator.saga import Outcome
from orchestrator.sdk import (
    Context,
    Evaluation,
    EvaluationRequest,
    Event,
    Exhausted,
    FailedCall,
    Fallback,
    InvalidInput,
    NextMove,
    Plan,
    PlanRequest,
    PlanReview,
    Recovery,
    Retry,
    Review,
    ReviewVerdict,
    Selection,
    ServiceContext,
    ToolDefinition,
    evaluator,
    middleware,
    planner,
    recovery,
    reviewer,
    step,
    subscriber,
    tool,
    tool_selector,
)
from orchestrator.sdk.messages import Message
from orchestrator.testing import Harness
from tests.support.bare_services import SERVICES
from tests.support.raised import RAISED
from tests.unit.services.conftest import Setting
from tests.unit.services.support import MemoryValues, World, call, event, failure
from tests.unit.services.test_evaluator import evaluation
from tests.unit.services.test_planner import request
from tests.unit.services.test_tool_selector import TOOLS, ready

CODEC = Codec(CatalogueIds())


async def reply_of(world: World, service: Any, message: Any) -> Any:
    """The one reply, which can be sent."""
    reply = await asyncio.wait_for(world.reply(service, message), 10)
    assert CODEC.encode(reply, source="/test/0")
    return reply


@pytest.mark.parametrize("what", RAISED)
async def test_a_planner_that_raises_has_one_reply(what: str) -> None:
    @planner("broken")
    async def broken(_request: PlanRequest) -> Plan:
        raise RAISED[what]()

    failed = await reply_of(World(broken), planners.service, request(planner="broken"))

    assert isinstance(failed, events.PlanningFailed)


@pytest.mark.parametrize("what", RAISED)
async def test_an_evaluator_that_raises_has_one_reply(what: str) -> None:
    @evaluator("broken")
    async def broken(_request: EvaluationRequest) -> Evaluation:
        raise RAISED[what]()

    failed = await reply_of(World(broken), evaluators.service, evaluation(evaluator="broken"))

    assert isinstance(failed, events.EvaluationFailed)


@pytest.mark.parametrize("what", RAISED)
async def test_a_selector_that_raises_has_one_reply(what: str, setting: Setting) -> None:
    @tool_selector("broken")
    async def broken(_selection: Selection) -> ToolDefinition:
        raise RAISED[what]()

    setting("ORCHESTRATOR_TOOL_SELECTOR_STRATEGY", "broken")
    message = ready({"to": "a@b.org"}, tool="mail.send")
    failed = await reply_of(World(broken, tools=TOOLS), selectors.service, message)

    assert isinstance(failed, events.SelectionFailed)


def tool_failed() -> events.ToolFailed:
    failed: events.ToolFailed = event(
        events.ToolFailed, call=call(tool="x"), tool="x", failure=failure(FailureKind.TRANSIENT)
    )
    return failed


class ReadOnce(MemoryValues):
    """A value store that goes away after the first value is read."""

    def __init__(self) -> None:
        self.is_away = False

    async def load(self, value: Value | None) -> Any:
        if self.is_away:
            raise UnavailableError("the value store is away")
        self.is_away = True
        return await super().load(value)


async def test_a_selection_fails_once_although_its_arguments_cannot_be_read_again(setting: Setting) -> None:
    @tool_selector("broken")
    async def broken(_selection: Selection, context: Context) -> ToolDefinition:
        context.use(model_requests=1, tokens_input=70)
        raise InvalidInput("they do not fit")

    setting("ORCHESTRATOR_TOOL_SELECTOR_STRATEGY", "broken")
    world = World(broken, tools=TOOLS)
    world.values = ReadOnce()
    (failed,) = await world.handle(selectors.service, ready({"to": "a@b.org"}, tool="mail.send"))

    assert isinstance(failed, events.SelectionFailed)
    assert (failed.failure.message, failed.usage.tokens_input) == ("they do not fit", 70)


@pytest.mark.parametrize("what", RAISED)
async def test_a_recovery_strategy_that_raises_has_nothing_left_to_try(what: str, setting: Setting) -> None:
    @recovery("broken")
    async def broken(_failed: FailedCall) -> Recovery:
        raise RAISED[what]()

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "broken")
    reply = await reply_of(World(broken), recoveries.service, tool_failed())

    assert isinstance(reply, events.RecoveryExhausted)
    assert reply.reason.startswith("the recovery strategy broken failed: ")


UNUSABLE: dict[str, Any] = {
    "nothing": None,
    "text": "again",
    "a delay that is text": Retry("soon"),  # type: ignore[arg-type]
    "a delay that is no number": Retry(math.nan),  # type: ignore[arg-type]
    "arguments that are no document": Retry(1, arguments={"a": 1}),  # type: ignore[arg-type]
    "names to avoid without end": Fallback(itertools.repeat("x")),  # type: ignore[arg-type]
    "something to avoid that is no name": Fallback((object(),)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_a_decision_that_cannot_be_sent_leaves_nothing_to_try(what: str, setting: Setting) -> None:
    @recovery("broken")
    async def broken(_failed: FailedCall) -> Any:
        return UNUSABLE[what]

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "broken")
    reply = await reply_of(World(broken), recoveries.service, tool_failed())

    assert isinstance(reply, events.RecoveryExhausted)
    assert reply.reason.startswith("the recovery strategy broken returned ")


@pytest.mark.parametrize(
    "decision", [Retry(2**90), Retry(-5), Exhausted("half \ud800"), Retry(1, "half \ud800")], ids=repr
)
async def test_odd_numbers_and_reasons_of_a_decision_are_bounded(
    decision: Recovery, setting: Setting
) -> None:
    @recovery("odd")
    async def odd(_failed: FailedCall) -> Recovery:
        return decision

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "odd")
    reply = await reply_of(World(odd), recoveries.service, tool_failed())

    assert isinstance(
        reply, events.RetryScheduled if isinstance(decision, Retry) else events.RecoveryExhausted
    )


@pytest.mark.parametrize(
    "decision",
    [Fallback(("half \ud800",)), Retry(1, arguments=Document(body=Value(media_type="half \ud800")))],
    ids=["a name", "arguments"],
)
async def test_a_decision_that_cannot_be_encoded_ends_recovery_at_once(
    decision: Recovery, setting: Setting
) -> None:
    @recovery("odd")
    async def odd(_failed: FailedCall, context: Context) -> Recovery:
        context.use(model_requests=1, tokens_input=70)
        return decision

    @tool("fails")
    def fails() -> None:
        raise InvalidInput("never")

    @planner("failing")
    async def failing(_request: PlanRequest) -> Plan:
        return Plan([step("a", fails)])

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "odd")
    agent = "{agent: failing, planner: failing}"
    async with Harness(failing, fails, odd, documents=[agent]) as harness:
        session = await harness.submit("x", agent="failing")

    (parked,) = session.of(events.TaskEscalated)
    assert parked.failure.message.startswith("never (the reply cannot be sent: ")
    assert session.state.used.tokens_input == 70


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.1, "high"], ids=repr)
async def test_a_score_that_is_none_is_a_failure(score: Any) -> None:
    @evaluator("odd")
    async def odd(_request: EvaluationRequest) -> Evaluation:
        return Evaluation(goal_met=True, score=score, next=NextMove.FINISH)

    failed = await reply_of(World(odd), evaluators.service, evaluation(evaluator="odd"))

    assert failed.failure.message.startswith("the evaluator odd gave the score ")


@tool("give")
def give(value: Any = 1) -> Any:
    return value


PLANS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "NaN in arguments": lambda: Plan([step("a", give, value=math.nan)]),
    "an object in arguments": lambda: Plan([step("a", give, value=object())]),
    "half a character in arguments": lambda: Plan([step("a", give, value="half \ud800")]),
    "an endless iterator in arguments": lambda: Plan([step("a", give, value=itertools.count())]),
    "a list that contains itself": lambda: Plan([step("a", give, value=_cycle())]),
    "an infinity in the result": lambda: Plan([step("a", give)], result={"x": -math.inf}),
    "half a character in a message": lambda: Plan([step("a", give)], open=True, messages=["half \ud800"]),
    "NaN in a message": lambda: Plan([step("a", give)], open=True, messages=[{"n": math.nan, "x": None}]),
    "messages without end": lambda: Plan([step("a", give)], open=True, messages=itertools.repeat("x")),
    "steps without end": lambda: Plan(step(f"a{number}", give) for number in itertools.count()),
    "half a character in the success": lambda: Plan([step("a", give)], success="'half \ud800' == ''"),
}


def _cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize("what", PLANS)
async def test_a_plan_that_cannot_be_sent_fails_its_call_at_once(what: str) -> None:
    @planner("odd")
    async def odd(_request: PlanRequest) -> Any:
        return PLANS[what]()

    agent = "{agent: odd, planner: odd}"
    async with Harness(odd, give, documents=[agent]) as harness:
        session = await harness.submit("x", agent="odd")

    assert session.settled
    assert session.of(events.PlanningFailed)
    assert session.of(events.CallTimedOut) == []


@planner("simple")
async def simple(_request: PlanRequest) -> Plan:
    return Plan([step("a", give)])


REVIEWED = "{agent: simple, planner: simple, reviewers: [{name: broken, timeout: 5s, on_timeout: accept}]}"


@pytest.mark.parametrize("what", RAISED)
async def test_what_a_reviewer_raises_is_a_failed_review_at_once(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    @reviewer("broken")
    async def broken(_review: PlanReview, context: Context) -> Review:
        context.use(model_requests=1, tokens_input=70)
        raise RAISED[what]()

    async with Harness(simple, give, broken, documents=[REVIEWED]) as harness:
        session = await harness.submit("x", agent="simple")

    assert session.outcome is Outcome.COMPLETED
    assert session.of(events.CallTimedOut) == []
    assert session.state.used.tokens_input == 70
    assert session.dead_letters == []
    assert "the reviewer broken has no verdict on a plan" in caplog.text


@pytest.mark.parametrize("what", ["no review", "a verdict", "a reason"])
async def test_a_review_that_cannot_be_sent_is_a_failed_review_at_once(what: str) -> None:
    odd: Any = {
        "no review": "yes",
        "a verdict": Review(reviewer="", verdict=cast(Any, "yes")),
        "a reason": Review(reviewer="", verdict=ReviewVerdict.REJECT, reason="half \ud800"),
    }[what]

    @reviewer("broken")
    async def broken(_review: PlanReview, context: Context) -> Any:
        context.use(model_requests=1, tokens_input=70)
        return odd

    async with Harness(simple, give, broken, documents=[REVIEWED]) as harness:
        session = await harness.submit("x", agent="simple")

    assert session.outcome is Outcome.COMPLETED
    assert session.of(events.CallTimedOut) == []
    assert session.state.used.tokens_input == 70


async def test_a_review_is_stopped_at_its_timeout() -> None:
    @reviewer("slow", named_only=True)
    async def slow(_review: PlanReview, context: Context) -> Review:
        context.use(model_requests=1, tokens_input=70)
        return await asyncio.Future()

    asked = replace(call(CallKind.REVIEW), step_id="slow", due_at=0)
    of_plan = call(CallKind.PLAN, call_id="plan", revision=2)
    proposed = event(
        events.PlanProposed, sequence=1, call=of_plan, plan=Plan(result=1).plan, reviews=(asked,)
    )

    reply = await World(slow).reply(slow.service(), proposed)

    assert isinstance(reply, events.ReviewFailed)
    assert (reply.plan_call_id, reply.revision, reply.reviewer) == ("plan", 2, "slow")
    assert (reply.failure.kind, reply.usage.tokens_input) == (FailureKind.TRANSIENT, 70)


@pytest.mark.parametrize("what", RAISED)
async def test_what_subscribers_raise_is_one_dead_letter_and_the_session_completes(what: str) -> None:
    watched: list[str] = []

    @subscriber("TaskCompleted", group="broken")
    async def watching(event: Event, _context: Context) -> None:
        watched.append(event.type)
        raise RAISED[what]()

    async with Harness(simple, give, watching, documents=["{agent: simple, planner: simple}"]) as harness:
        session = await harness.submit("x", agent="simple")

    assert session.outcome is Outcome.COMPLETED
    assert [letter.service for letter in session.dead_letters] == ["broken"]
    assert watched == ["TaskCompleted"]


@pytest.mark.parametrize("what", RAISED)
async def test_what_middleware_raises_is_a_dead_letter_in_the_harness_too(what: str) -> None:
    @middleware("evaluator")
    async def broken(_message: Message, _context: ServiceContext, _next: Any) -> Any:
        raise RAISED[what]()

    async with Harness(simple, give, broken, documents=["{agent: simple, planner: simple}"]) as harness:
        session = await harness.submit("x", agent="simple")

    (letter,) = session.dead_letters
    assert (letter.service, letter.stage) == ("evaluator", "handle")


async def test_a_reply_that_cannot_be_written_fails_its_call_in_the_harness_too() -> None:
    @middleware("tool-executor")
    async def half(message: Message, context: ServiceContext, call_next: Any) -> Any:
        given: Any = message
        await call_next(message, context)
        value = await context.values.store(1)
        odd: Any = type(value)(media_type="half \ud800", inline=b"1")
        return context.write(events.ToolCompleted, call=given.call, tool="give", output=odd)

    async with Harness(
        *SERVICES, simple, give, half, installed=False, documents=["{agent: simple, planner: simple}"]
    ) as harness:
        session = await harness.submit("x", agent="simple")

    assert {one.failure.code for one in session.of(events.ToolFailed)} == {"unencodable"}
    assert session.dead_letters

"""What plug-ins become: services with a consumer group, and messages with derived ids."""

import gc
import weakref
from typing import Any

import pytest
from orchestrator_services import recovery

from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import events
from orchestrator.messages.bounds import LONGEST_WAIT_MS
from orchestrator.messages.types import CallKind, FailureKind, ReviewVerdict, ToolDefinition
from orchestrator.sdk import (
    Event,
    ModelDelta,
    Plan,
    PlanReview,
    Plugins,
    Review,
    Service,
    ServiceContext,
    TransientError,
    Usage,
    agent_defined,
    failure_of,
    parse_documents,
    playbook_defined,
    reviewer,
    step,
    subscriber,
    tool_defined,
)
from orchestrator.sdk.isolation.outcome import raised
from orchestrator.sdk.service import as_messages
from tests.unit.services.support import START, World, call, event, failure

PLAN = Plan([step("a", "t")]).plan


def created() -> events.PlanCreated:
    message: events.PlanCreated = event(
        events.PlanCreated, call=call(CallKind.PLAN, call_id="plan-call", revision=3), plan=PLAN
    )
    return message


async def test_a_reviewer_is_a_service_that_reviews_every_plan() -> None:
    @reviewer("modest")
    async def modest(request: PlanReview) -> Review | None:
        if request.revision > 2:
            return Review(reviewer="typo", verdict=ReviewVerdict.REJECT, reason="too many revisions")
        return None

    service = modest.service()
    reviewed = await World(modest).reply(service, created())

    assert service.name == "reviewer-modest"
    assert (reviewed.plan_call_id, reviewed.revision) == ("plan-call", 3)
    assert reviewed.review == Review(
        reviewer="modest", verdict=ReviewVerdict.REJECT, reason="too many revisions"
    )


async def test_a_reviewer_that_says_nothing_accepts() -> None:
    @reviewer("easy", group="easy-going")
    async def easy(request: PlanReview) -> None:
        return None

    service = easy.service()
    reviewed = await World(easy).reply(service, created())

    assert service.name == "easy-going"
    assert reviewed.review.verdict is ReviewVerdict.ACCEPT


async def test_a_subscriber_is_a_service_that_sees_what_matches_and_writes_nothing() -> None:
    seen = []

    @subscriber("*Failed", ordered=True)
    async def page_somebody(observed: Event) -> str:
        seen.append((observed.type, observed.failure.code, observed.nothing_of_the_kind))
        return "ignored"

    service = page_somebody.service()
    failed = event(events.PlanningFailed, call=call(), failure=failure(FailureKind.TRANSIENT))

    assert await World(page_somebody).handle(service, failed) == ()
    assert seen == [("PlanningFailed", "broken", None)]
    assert (service.name, service.ordered) == ("page-somebody", True)
    assert events.ToolFailed in service.handlers
    assert events.ToolCompleted not in service.handlers


def test_a_subscriber_to_everything_sees_messages_of_sessions_only() -> None:
    @subscriber("*")
    async def everything(observed: Event) -> None: ...

    names = {message.__name__ for message in everything.service().handlers}

    assert {"ExecuteTool", "TaskCompleted", "ToolProgressed"} <= names
    assert not {"ToolDefined", "SessionSnapshot"} & names


def test_a_subscriber_that_no_message_matches_is_a_mistake() -> None:
    @subscriber("TaskFinished")
    async def late(observed: Event) -> None: ...

    with pytest.raises(ConfigurationError, match="no message of a session matches"):
        late.service()


def test_services_of_one_name_are_a_mistake() -> None:
    @reviewer("r", group="recovery")
    async def clash(request: PlanReview) -> None: ...

    with pytest.raises(ConfigurationError, match="two services have the name recovery"):
        Plugins.of(recovery, clash).every_service()


def test_ids_of_messages_follow_from_the_input_the_service_and_the_kind() -> None:
    def written() -> list[str]:
        context = ServiceContext("svc", created(), World().platform)
        first = context.write(events.ToolStarted, call=call())
        beats = [context.write(events.ToolHeartbeat, call=call()) for _ in range(2)]
        return [first.event_id, *(beat.event_id for beat in beats)]

    assert written() == written()
    assert len(set(written())) == 3


def test_the_same_definition_has_the_same_id_whenever_it_is_announced() -> None:
    tool = ToolDefinition(name="t")
    (profile,) = parse_documents("agent: a").profiles

    assert tool_defined(tool, START).event_id == tool_defined(tool, START + 1).event_id
    assert tool_defined(tool, START).event_id != tool_defined(ToolDefinition(name="u"), START).event_id
    assert agent_defined(profile, START).profile == profile
    assert playbook_defined("p", "1", "playbook: p", START).name == "p"


def test_a_service_that_announces_nothing_has_nothing_to_say() -> None:
    assert tuple(Service("quiet").announcement(World().platform)) == ()
    assert as_messages(None) == ()


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (UnavailableError("store down"), FailureKind.TRANSIENT, "unavailable"),
        (ContractError("hash differs"), FailureKind.PERMANENT, "contract"),
        (KeyError("x"), FailureKind.PERMANENT, "mine"),
    ],
)
def test_an_exception_stands_for_a_failure(error: Exception, kind: FailureKind, code: str) -> None:
    found = failure_of(error, "mine")

    assert (found.kind, found.code) == (kind, code)


def test_a_failure_says_how_long_to_wait_where_the_error_does() -> None:
    error = TransientError("too many requests", code="rate_limited", retry_after_ms=1500)

    found = failure_of(error, "mine")

    assert (found.code, found.retry_after_ms) == ("rate_limited", 1500)
    assert failure_of(TransientError("busy"), "mine").retry_after_ms is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (10**400, LONGEST_WAIT_MS),
        (2**62, LONGEST_WAIT_MS),
        (float("inf"), LONGEST_WAIT_MS),
        (-5, 0),
        (1.9, 1),
        (float("nan"), None),
        ("1", None),
    ],
)
def test_a_wait_that_a_failure_asks_for_is_a_day_at_most(asked: Any, told: int | None) -> None:
    error = TransientError("too many requests", code="rate_limited", retry_after_ms=asked)

    found = failure_of(error, "mine")

    assert (found.code, found.retry_after_ms) == ("rate_limited", told)
    reported = raised({"kind": "TRANSIENT", "retry_after_ms": asked, "is_own": True})
    assert failure_of(reported, "mine").retry_after_ms == told


def test_what_a_call_used_of_models_adds_up() -> None:
    context = ServiceContext("svc", created(), World().platform)

    context.use(model_requests=1, tokens_input=100, tokens_cached=60, tokens_output=5, cost_usd=0.000_001)
    context.use(model_requests=1, tokens_input=10)

    assert context.usage(START) == Usage(
        model_requests=2, tokens_input=110, tokens_cached=60, tokens_output=5, cost_micro_usd=1
    )


async def test_what_a_model_writes_is_sent_at_once_with_its_call() -> None:
    world = World()
    context = ServiceContext("svc", created(), world.platform)
    request = context.next_model_request()

    await context.stream(ModelDelta(request=request, part=0, position=0, text="thr"))
    await context.stream(ModelDelta(request=request, part=0, position=3, text="ee", ended=True))

    first, last = world.emitted
    assert isinstance(first, events.ModelProgressed)
    assert isinstance(last, events.ModelProgressed)
    assert (first.call.call_id, first.request, first.text, first.ended) == ("plan-call", 1, "thr", False)
    assert (last.position, last.text, last.ended) == (3, "ee", True)
    assert first.event_id != last.event_id
    assert context.next_model_request() == 2


async def test_what_a_model_writes_for_no_call_is_not_sent() -> None:
    world = World()
    context = ServiceContext("svc", event(events.CancelRequested), world.platform)

    await context.stream(ModelDelta(request=1, part=0, position=0, text="three"))

    assert world.emitted == []


def test_the_text_of_a_failure_is_bounded() -> None:
    assert len(failure_of(ValueError("x" * 10_000), "mine").message) == 2_000


def test_a_context_is_freed_with_its_handler() -> None:
    """In a reference cycle it would keep its message, up to a megabyte, until the garbage collector runs."""
    gc.collect()
    gc.disable()
    try:
        context = ServiceContext("svc", created(), World().platform)
        dropped = weakref.ref(context)
        del context
        assert dropped() is None
    finally:
        gc.enable()


def test_two_plug_ins_of_one_name_are_a_mistake_even_if_they_look_alike() -> None:
    with pytest.raises(ConfigurationError, match="two plug-ins of the role service have the name stock"):
        Plugins.of(Service("stock"), Service("stock"))

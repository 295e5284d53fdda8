"""The recovery strategy `adviser`: whole sessions in memory, with scripted models."""

from collections.abc import Callable
from typing import Any

import pytest
from orchestrator_services.models import Asked, Says, scripted_model
from orchestrator_services.recovery import RecoverySettings

from orchestrator.messages import events
from orchestrator.sdk import (
    ConfigurationError,
    InvalidInput,
    Model,
    PermanentError,
    Plan,
    PlanRequest,
    PlanReview,
    Review,
    Tool,
    TransientError,
    UnknownOutcome,
    planner,
    reviewer,
    step,
    tool,
)
from orchestrator.testing import Harness
from orchestrator.testing.session import HarnessSession
from tests.unit.services.conftest import Setting

pytestmark = pytest.mark.usefixtures("imported_client")

SHOP = "{agent: shop, planner: ordering, retry: {attempts: 2}}"


@tool("stock.list")
def items() -> dict[str, Any]:
    """What is in stock."""
    return {"fruit": ["apple", "pear"], "shelf": 7}


@tool("stock.order")
def order(item: str, count: int) -> str:
    """Orders some of an item."""
    if item != "apple":
        raise InvalidInput(f"{item} is not one of apple, pear", code="unknown_item")
    return f"{count} x {item}"


def ordering(**arguments: Any) -> Any:
    @planner("ordering")
    async def plan(request: PlanRequest) -> Plan:
        listed = step("listed", items)
        given = {name: listed.output.at(at) if at.startswith("/") else at for name, at in arguments.items()}
        ordered = step("ordered", "stock.order", after=[listed], arguments=given)
        return Plan([listed, ordered], result=ordered.output)

    return plan


@pytest.fixture(autouse=True)
def advised(setting: Setting) -> None:
    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "adviser")
    setting("ORCHESTRATOR_RECOVERY_MODEL", "scripted:adviser")


def adviser(script: Callable[[Asked], Says]) -> Model:
    return scripted_model("scripted:adviser")(script)


def advising(arguments: Any, **fields: Any) -> Model:
    output = {"possible": True, "arguments": arguments, "reason": "the item has another name"}
    return adviser(lambda _asked: Says(output=output, **fields))


def silent() -> Model:
    @adviser
    def script(asked: Asked) -> Says:
        raise AssertionError("it was asked")

    return script


async def ordered(*plugins: Any, agent: str = SHOP) -> tuple[Harness, HarnessSession]:
    async with Harness(*plugins, documents=[agent]) as harness:
        session = await harness.submit("Order apples", agent="shop")
    return harness, session


def reasons(harness: Harness) -> list[str]:
    return [one.reason for one in harness.produced if isinstance(one, events.RecoveryRecorded)]


async def test_arguments_that_do_not_fit_a_tool_are_mended() -> None:
    model = advising({"item": "apple", "count": 3}, tokens_input=50, tokens_output=5)

    harness, session = await ordered(ordering(item="apple", number="3"), model, items, order)

    assert session.result == "3 x apple"
    assert reasons(harness) == ["arguments mended: the item has another name"]
    used = session.state.used
    assert (used.model_requests, used.tokens_input, used.tokens_output) == (1, 50, 5)


async def test_arguments_that_a_tool_refuses_are_mended() -> None:
    heard: list[Asked] = []

    @adviser
    def script(asked: Asked) -> Says:
        heard.append(asked)
        arguments = {
            "item": {"$from": "listed", "at": "/fruit/0"},
            "count": {"$from": "listed", "at": "/shelf"},
        }
        return Says(output={"possible": True, "arguments": arguments, "reason": "fruit has names"})

    _, session = await ordered(ordering(item="/shelf", count="/shelf"), script, items, order)

    assert session.result == "7 x apple"
    (asked,) = heard
    assert "item: Input should be a valid string" in asked.prompt
    assert "Orders some of an item." in asked.prompt
    assert '"item":{"$from":"listed","at":"/shelf"}' in asked.prompt
    assert '<data step="listed">\n{"fruit":["apple","pear"],"shelf":7}\n</data>' in asked.prompt


async def test_advice_that_the_limits_do_not_allow_is_not_asked_for() -> None:
    agent = SHOP.replace("retry:", "limits: {tokens: 2000}, retry:")

    harness, session = await ordered(ordering(item="apple", number="3"), silent(), items, order, agent=agent)

    assert session.state.used.model_requests == 0
    (reason,) = reasons(harness)
    assert "no advice" in reason
    assert "the limits of the session leave 500 tokens" in reason


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ({"item": "apple", "count": "many"}, "the mended arguments do not fit either: stock.order: count:"),
        ({"item": "apple", "number": "3"}, "the advice changes nothing"),
        (
            {"item": {"$from": "secret"}, "count": 3},
            "the advice uses outputs that the step does not wait for: secret",
        ),
        (None, "the arguments cannot be mended: the item has another name"),
    ],
)
async def test_advice_that_cannot_be_followed_leaves_the_default_decision(output: Any, why: str) -> None:
    says = {"possible": output is not None, "reason": "the item has another name"}
    answer = says if output is None else {**says, "arguments": output}
    model = adviser(lambda _asked: Says(output=answer))

    harness, session = await ordered(ordering(item="apple", number="3"), model, items, order)

    assert session.outcome is None
    (reason,) = reasons(harness)
    assert reason.startswith("the same input would fail again: change it; no advice: PermanentError: ")
    assert why in reason
    assert session.state.used.model_requests == 1


async def test_arguments_are_not_mended_beyond_the_attempts() -> None:
    harness, session = await ordered(
        ordering(item="pear", count="/shelf"), advising({"item": "plum", "count": 3}), items, order
    )

    assert session.outcome is None
    assert reasons(harness) == [
        "arguments mended: the item has another name",
        "the same input would fail again: change it",
    ]


async def test_what_reviewers_have_accepted_is_not_changed() -> None:
    @reviewer("any")
    async def anything(request: PlanReview) -> Review | None:
        return None

    agent = SHOP.replace("}}", "}, reviewers: [{name: any}]}")
    harness, session = await ordered(
        ordering(item="apple", number="3"), silent(), anything, items, order, agent=agent
    )

    assert session.outcome is None
    assert reasons(harness) == ["the same input would fail again: change it"]


@pytest.mark.parametrize("error", ["rate_limited", "model_unavailable"])
async def test_without_the_model_the_default_strategy_decides(error: str) -> None:
    @adviser
    def script(asked: Asked) -> Says:
        raise TransientError("not now", code=error)

    harness, session = await ordered(ordering(item="apple", number="3"), script, items, order)

    assert session.outcome is None
    assert reasons(harness) == [
        "the same input would fail again: change it; no advice: TransientError: not now"
    ]


async def test_a_failure_that_needs_no_advice_is_decided_without_the_model() -> None:
    runs: list[str] = []

    @tool("stock.order")
    def flaky(item: str) -> str:
        runs.append(item)
        if len(runs) == 1:
            raise TransientError("the shop is closed")
        return "ordered"

    _, session = await ordered(ordering(item="apple"), silent(), items, flaky)

    assert session.result == "ordered"
    assert session.state.used.model_requests == 0


async def test_a_call_that_must_not_run_twice_is_never_repeated_nor_asked_about() -> None:
    @tool("stock.order", at_most_once=True)
    def once(item: str) -> str:
        raise UnknownOutcome("the line went dead")

    harness, session = await ordered(ordering(item="apple"), silent(), items, once)

    assert session.outcome is None
    assert reasons(harness) == ["the outcome is unknown, and the call must not run twice"]


async def test_what_a_tool_that_must_run_once_refused_in_its_run_is_not_mended() -> None:
    runs: list[str] = []

    @tool("stock.order", at_most_once=True)
    def once(item: str) -> str:
        runs.append(item)
        raise InvalidInput(f"{item} is ordered, but has no label")

    harness, session = await ordered(ordering(item="apple"), silent(), items, once)

    assert session.outcome is None
    assert runs == ["apple"]
    assert reasons(harness) == ["the same input would fail again: change it"]


async def test_what_does_not_fit_a_tool_that_must_run_once_is_mended_before_its_run() -> None:
    runs: list[str] = []

    @tool("stock.order", at_most_once=True)
    def once(item: str) -> str:
        runs.append(item)
        return "ordered"

    _, session = await ordered(ordering(item="/shelf"), advising({"item": "apple"}), items, once)

    assert session.result == "ordered"
    assert runs == ["apple"]


def shop(name: str, problem: str = "") -> Tool:
    @tool(f"shop.{name}", capability="shop")
    def buy(item: str) -> str:
        """Buys an item in a shop."""
        if problem:
            raise PermanentError(problem)
        return f"{item} from {name}"

    return buy


@planner("ordering")
async def buying(request: PlanRequest) -> Plan:
    bought = step("bought", capability="shop", item="apple")
    return Plan([bought], result=bought.output)


SHOPS = (shop("a", "the market is closed"), shop("b", "the market is closed"), shop("c"))


async def test_other_tools_that_would_fail_too_are_ruled_out() -> None:
    heard: list[Asked] = []

    @adviser
    def script(asked: Asked) -> Says:
        heard.append(asked)
        return Says(output={"try": ["shop.c"], "reason": "b is in the same market"}, tokens_input=9)

    harness, session = await ordered(buying, script, *SHOPS)

    assert session.result == "apple from c"
    selected = [one.tool for one in harness.produced if isinstance(one, events.ToolSelected)]
    assert selected == ["shop.a", "shop.c"]
    assert reasons(harness)[0].endswith("try another tool: b is in the same market")
    assert (session.state.used.model_requests, session.state.used.tokens_input) == (1, 9)
    assert "the market is closed" in heard[0].prompt


async def test_where_all_others_would_fail_nothing_is_left_to_try() -> None:
    model = adviser(lambda _asked: Says(output={"try": [], "reason": "it is Sunday"}))

    harness, session = await ordered(buying, model, *SHOPS)

    assert session.outcome is None
    assert reasons(harness) == ["the other tools would fail too: it is Sunday"]


async def test_without_advice_the_others_are_tried_in_turn() -> None:
    model = adviser(lambda _asked: Says(output={"try": ["shop.z"], "reason": "z is best"}))

    _, session = await ordered(buying, model, *SHOPS)

    assert session.result == "apple from c"


def test_the_strategy_needs_a_model() -> None:
    with pytest.raises(ConfigurationError, match="set ORCHESTRATOR_RECOVERY_MODEL to PROVIDER:MODEL"):
        RecoverySettings.read({"ORCHESTRATOR_RECOVERY_STRATEGY": "adviser"})


async def test_a_playbook_whose_arguments_were_mended_does_not_run_again() -> None:
    """Its result misses the goal, and the playbook makes the same plan as before."""
    playbook = """\
playbook: ordering
steps:
  ordered: {tool: stock.order, arguments: {item: apple, number: 3}}
success: outputs.ordered == "4 x apple"
result: {$from: ordered}
---
{agent: shop, planner: playbook, playbook: ordering}
"""
    model = advising({"item": "apple", "count": 3})

    harness, session = await ordered(model, order, agent=playbook)

    (escalated,) = session.of(events.TaskEscalated)
    assert escalated.failure.code == "playbook_cannot_revise"
    assert [one.tool for one in harness.produced if isinstance(one, events.ToolCompleted)] == ["stock.order"]

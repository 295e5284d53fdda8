"""The strategy `router`: whole sessions in memory, with scripted models."""

from typing import Any

import pytest
from orchestrator_services.models import Asked, Says, scripted_model
from orchestrator_services.planner import handlers

from orchestrator.messages.types import AgentProfile
from orchestrator.sdk import (
    Conversations,
    Plan,
    PlanRequest,
    agent_defined,
    planner,
    step,
)
from orchestrator.testing import Harness
from tests.unit.services.thinking import clerk, desk, level, order, picky, plans, thrifty, told

DESK = desk("router", "")
COUNTER = """\
agent: counter
description: Counts what is in stock.
planner: react
model: scripted:counter
instructions: Count twice.
"""
BUYER = """\
agent: buyer
description: Buys what is missing.
planner: plan-execute
model: scripted:buyer
"""
LEVELS = """\
playbook: levels
description: Tells how many apples there are.
steps:
  level: {tool: stock.level, arguments: {item: apple}}
result: {$from: level}
"""


def chooses(name: str) -> Any:
    """A clerk that always chooses the same."""
    return clerk(lambda _asked: Says(output={"choice": name, "why": "it fits"}))


async def test_the_model_chooses_by_the_descriptions_and_the_chosen_agent_does_the_task() -> None:
    heard: list[Asked] = []

    @clerk
    def router(asked: Asked) -> Says:
        heard.append(asked)
        return Says(output={"choice": "agent counter"})

    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        assert "Count twice." in asked.instructions
        if asked.turn == 0:
            assert asked.prompt == 'How many?\n\n<data name="context">\n{"shop":"Oslo"}\n</data>'
            return Says(calls=[("stock.level", {"item": "apple"})])
        return Says(text="three")

    documents = [desk("router", "instructions: Be fair."), COUNTER, BUYER, LEVELS]
    async with Harness(router, counter, level, documents=documents) as harness:
        session = await harness.submit("How many?", agent="desk", context={"shop": "Oslo"})

        assert session.result == "three"
        assert session.state.used.model_requests == 3
        assert len(plans(harness)) == 2
    (asked,) = heard
    assert "agent counter: Counts what is in stock." in asked.instructions
    assert "playbook levels: Tells how many apples there are." in asked.instructions
    assert "Be fair." in asked.instructions
    assert asked.output_schema is not None
    names = asked.output_schema["properties"]["choice"]["enum"]
    assert names == ["agent buyer", "agent counter", "playbook levels"]


async def test_where_there_is_one_choice_nobody_is_asked() -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text="three")

    async with Harness(counter, documents=["{agent: desk, planner: router}", COUNTER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "three"
        assert session.state.used.model_requests == 1


async def test_without_a_choice_it_says_what_to_do() -> None:
    others = [
        "{agent: other, planner: router, description: Chooses too.}",
        "{agent: silent, planner: react, model: 'scripted:clerk'}",
    ]
    async with Harness(
        documents=["{agent: desk, planner: router, description: Chooses.}", *others]
    ) as harness:
        await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "no_route"


async def test_a_playbook_can_be_chosen() -> None:
    async with Harness(chooses("playbook levels"), level, documents=[DESK, COUNTER, LEVELS]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == 3
        assert [step.step_id for step in plans(harness)[0].steps] == ["level"]


async def test_a_playbook_that_missed_the_goal_does_not_run_again() -> None:
    document = desk("router", "evaluate: {evaluator: picky}")
    async with Harness(
        chooses("playbook levels"), picky, level, documents=[document, COUNTER, LEVELS]
    ) as harness:
        session = await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "playbook_cannot_revise"
        assert len(plans(harness)) == 1
        assert session.state.used.tool_calls == 1


async def test_a_planner_of_the_user_can_be_chosen() -> None:
    seen: list[tuple[Any, ...]] = []

    @planner("twice")
    async def twice(request: PlanRequest) -> Plan:
        seen.append((request.context, request.previous is not None, len(request.conversation.messages)))
        if request.outcomes:
            return Plan(result="done")
        return Plan([step("level", level, item="apple")], open=True)

    document = "{agent: double, description: Does it twice., planner: twice}"
    async with Harness(twice, level, documents=["{agent: desk, planner: router}", document]) as harness:
        session = await harness.submit("How many?", agent="desk", context={"shop": "Oslo"})

        assert session.result == "done"
        assert seen == [({"shop": "Oslo"}, False, 0), ({"shop": "Oslo"}, True, 0)]


@pytest.mark.parametrize("forgets", [False, True], ids=["in one process", "in another process"])
async def test_the_choice_holds_for_the_session_whatever_is_defined_meanwhile(
    monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    seen: list[tuple[str, ...]] = []

    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        if forgets:
            monkeypatch.setattr(handlers, "conversations", Conversations(most_bytes=0))
        seen.append((asked.instructions.partition("\n")[0], *(one.text for one in asked.messages)))
        if asked.turn < 2:
            harness.send(agent_defined(AgentProfile(name="counter", planner="playbook"), harness.clock.now))
            return Says(calls=[("stock.level", {"item": "apple"})])
        return Says(text="three")

    async with Harness(chooses("agent counter"), counter, level, documents=[DESK, COUNTER, BUYER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "three"
        assert harness.definitions.agents["counter"].planner == "playbook"
        assert session.state.used.model_requests == 4
    three = '<data tool="stock.level" step="turn{}-1">\n3\n</data>'
    assert seen[-1] == ("Count twice.", "How many?", "", three.format(1), "", three.format(2))


async def test_the_chosen_agent_uses_the_tools_that_both_allow() -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text=", ".join(asked.tools))

    router = desk("router", "tools: {allow: [stock.*]}")
    chosen = f"{COUNTER}tools: {{deny: [stock.order], allow: [stock.*, values.*]}}\n"
    async with Harness(
        chooses("agent counter"), counter, level, order, documents=[router, chosen, BUYER]
    ) as harness:
        session = await harness.submit("What can you do?", agent="desk")

        assert session.result == "stock.level"


async def test_a_chosen_agent_with_no_tool_in_common_uses_none() -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text=f"{len(asked.tools)} tools")

    router = desk("router", "tools: {allow: [stock.level]}")
    chosen = f"{COUNTER}tools: {{allow: [stock.order]}}\n"
    async with Harness(
        chooses("agent counter"), counter, level, order, documents=[router, chosen, BUYER]
    ) as harness:
        session = await harness.submit("What can you do?", agent="desk")

        assert session.result == "0 tools"


async def test_the_result_fits_the_schema_of_the_chosen_agent() -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        again = any(one.by == "client" or one.problem for one in asked.messages)
        return Says(output=3 if again else "three")

    chosen = f"{COUNTER}output: {{type: integer}}\n"
    async with Harness(chooses("agent counter"), counter, documents=[DESK, chosen, BUYER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == 3


async def test_a_choice_that_does_not_exist_is_asked_for_again() -> None:
    @clerk
    def router(asked: Asked) -> Says:
        again = any(one.by == "model" for one in asked.messages)
        return Says(output={"choice": "agent counter" if again else "agent of chaos"})

    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text="three")

    async with Harness(router, counter, documents=[DESK, COUNTER, BUYER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "three"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(("stock.order", {"item": "apple"}), id="a tool that cannot be made to work"),
        pytest.param(("stock.price", {"item": "apple"}), id="a tool that does not exist"),
        pytest.param(("stock.level", {"itme": "apple"}), id="arguments that do not fit"),
    ],
)
async def test_what_goes_wrong_is_thought_around_by_the_chosen_agent(wrong: Any) -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text="as good as three") if told(asked) else Says(calls=[wrong])

    async with Harness(
        chooses("agent counter"), counter, level, order, documents=[DESK, COUNTER, BUYER]
    ) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "as good as three"


async def test_a_rejected_plan_and_result_go_back_to_the_chosen_agent() -> None:
    @scripted_model("scripted:buyer")
    def buyer(asked: Asked) -> Says:
        one = {"step": "a", "tool": "stock.level", "arguments": {"item": "apple"}}
        if "say please" in asked.prompt:
            return Says(output={"steps": [], "result": "three, please"})
        steps = [one] if "one step is enough" in asked.prompt else [one, {**one, "step": "b"}]
        return Says(output={"steps": steps, "result": {"$output": "a"}})

    document = desk("router", "reviewers: [{name: thrifty}]", "evaluate: {evaluator: picky}")
    async with Harness(
        chooses("agent buyer"), buyer, thrifty, picky, level, documents=[document, COUNTER, BUYER]
    ) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "three, please"
        assert session.state.used.model_requests == 4


async def test_the_last_turn_is_announced_to_the_chosen_agent() -> None:
    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        return Says(text="last" if "This is the last turn" in asked.prompt else "not last")

    document = desk("router", "limits: {turns: 1}")
    async with Harness(chooses("agent counter"), counter, documents=[document, COUNTER, BUYER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "last"


async def test_the_choice_counts_against_the_limits_of_the_turn() -> None:
    @clerk
    def router(asked: Asked) -> Says:
        return Says(output={"choice": "agent counter"}, tokens_input=5_000, tokens_output=100)

    @scripted_model("scripted:counter")
    def counter(asked: Asked) -> Says:
        raise AssertionError("it must not be asked")

    document = desk("router", "limits: {tokens: 6000}", "tools: {allow: [stock.level]}")
    async with Harness(router, counter, level, documents=[document, COUNTER, BUYER]) as harness:
        session = await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "limit_reached"
        assert session.state.used.tokens_input == 5_000


@pytest.mark.parametrize(
    ("routes", "allowed"),
    [
        ("[counter, lev*]", ["agent counter", "playbook levels"]),
        ("['agent *']", ["agent buyer", "agent counter"]),
        ("['playbook *', buyer]", ["agent buyer", "playbook levels"]),
        ("[a*, p*, b*, l*]", ["agent buyer", "playbook levels"]),
    ],
)
async def test_a_router_chooses_among_the_routes_that_its_profile_allows(
    routes: str, allowed: list[str]
) -> None:
    heard: list[Asked] = []

    @clerk
    def router(asked: Asked) -> Says:
        heard.append(asked)
        return Says(output={"choice": allowed[0]})

    documents = [desk("router", f"routes: {routes}"), COUNTER, BUYER, LEVELS]
    async with Harness(router, level, documents=documents) as harness:
        await harness.submit("How many?", agent="desk")

    assert heard[0].output_schema is not None
    assert heard[0].output_schema["properties"]["choice"]["enum"] == allowed


async def test_where_one_route_is_left_nobody_is_asked() -> None:
    @clerk
    def router(asked: Asked) -> Says:
        raise AssertionError("it was asked")

    documents = [desk("router", "routes: [levels]"), COUNTER, LEVELS]
    async with Harness(router, level, documents=documents) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == 3


async def test_routes_that_lead_nowhere_are_a_failure_that_says_so() -> None:
    documents = [desk("router", "routes: [conter]"), COUNTER]
    async with Harness(chooses("agent counter"), level, documents=documents) as harness:
        await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "no_route"
        assert "its routes allow" in letter.failure.message

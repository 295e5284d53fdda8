"""The strategy `plan-execute`: whole sessions in memory, with scripted models."""

import json
from typing import Any

import pytest
from orchestrator_services.models import Asked, Says
from orchestrator_services.planner import handlers

from orchestrator.messages import events
from orchestrator.sdk import Conversations, TransientError, tool
from orchestrator.testing import Harness
from tests.unit.services.thinking import (
    add,
    clerk,
    desk,
    history,
    level,
    order,
    picky,
    plans,
    thrifty,
)

DESK = desk("plan-execute", "")
COUNT = {
    "type": "object",
    "properties": {"count": {"type": "integer"}},
    "required": ["count"],
    "additionalProperties": False,
}


def planned(*steps: dict[str, Any], **more: Any) -> Says:
    return Says(output={"steps": list(steps), **more})


def run(name: str, tool: str, after: tuple[str, ...] = (), /, **arguments: Any) -> dict[str, Any]:
    return {"step": name, "tool": tool, "arguments": arguments, "after": list(after)}


def output(step: str, at: str | None = None) -> dict[str, Any]:
    return {"$output": step} if at is None else {"$output": step, "at": at}


SUM = (
    run("apples", "stock.level", item="apple"),
    run("pears", "stock.level", item="pear"),
    run("both", "stock.add", amounts=[output("apples"), output("pears")]),
)


async def test_one_request_gives_the_whole_plan_and_its_result() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(*SUM, result={"fruit": output("both", "/sum")}, why="count, then add")

    async with Harness(script, level, add, documents=[DESK]) as harness:
        session = await harness.submit("How much fruit?", agent="desk")

        assert session.result == {"fruit": 8}
        assert session.state.used.model_requests == 1
        plan = plans(harness)[0]
        assert [step.step_id for step in plan.steps] == ["plan1-apples", "plan1-pears", "plan1-both"]
        assert plan.rationale == "count, then add"


async def test_a_result_that_fits_whatever_the_steps_return_needs_no_second_turn() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(*SUM, result=[output("both"), "pieces"])

    async with Harness(script, level, add, documents=[DESK]) as harness:
        session = await harness.submit("How much fruit?", agent="desk")

        assert session.result == [{"sum": 8}, "pieces"]
        assert session.state.turn == 1


async def test_the_model_answers_without_a_plan_where_it_needs_no_tool() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(result="hello")

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("Greet me", agent="desk")

        assert session.result == "hello"
        assert [plan.steps for plan in plans(harness)] == [()]


async def test_the_model_may_see_the_outputs_before_it_answers() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        if asked.turn == 0:
            return planned(run("apples", "stock.level", item="apple"))
        assert '<data tool="stock.level" step="plan1-apples">\n3\n</data>' in asked.prompt
        return planned(result="three apples")

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("How many apples?", agent="desk")

        assert session.result == "three apples"


async def test_steps_wait_for_those_that_they_name() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        first = run("first", "stock.level", item="apple")
        return planned(run("second", "stock.level", ("first",), item="pear"), first, result=output("second"))

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("Count", agent="desk")

        ready = [one.step.step_id for one in session.of(events.PlanStepReady)]
        assert ready == ["plan1-first", "plan1-second"]


async def test_a_tool_that_fails_once_is_tried_again_and_the_model_does_not_notice() -> None:
    runs: list[str] = []

    @tool("stock.level")
    def flaky(item: str) -> int:
        runs.append(item)
        if len(runs) == 1:
            raise TransientError("the warehouse does not respond")
        return 3

    @clerk
    def script(asked: Asked) -> Says:
        return planned(run("apples", "stock.level", item="apple"), result=output("apples"))

    async with Harness(script, flaky, documents=[DESK]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert (session.result, runs) == (3, ["apple", "apple"])
        assert session.state.used.model_requests == 1


async def test_a_tool_that_cannot_be_made_to_work_is_planned_around() -> None:
    """The second plan uses an output of the first, which it calls by the name that the first gave it."""

    @clerk
    def script(asked: Asked) -> Says:
        if asked.turn == 0:
            return planned(
                run("pears", "stock.level", item="pear"),
                run("order", "stock.order", item="apple"),
                run("sum", "stock.add", ("order",), amounts=[output("pears")]),
                result=output("sum"),
            )
        assert "Step plan1-order: It failed after 1 attempt(s)." in asked.prompt
        assert "the supplier of apple is closed" in asked.prompt
        assert "Step plan1-sum: It was not run" in asked.prompt
        both = [output("pears"), output("plan1-pears")]
        return planned(run("sum", "stock.add", ("pears",), amounts=both), result=output("sum", "/sum"))

    async with Harness(script, order, level, add, documents=[DESK]) as harness:
        session = await harness.submit("Order apples, or count pears", agent="desk")

        assert session.result == 10
        assert not harness.dead_letters
        (summing,) = plans(harness)[1].steps
        assert (summing.step_id, summing.arguments.references, summing.after) == ("plan2-sum", (), ())


WRONG = [
    pytest.param([run("a", "stock.price")], "stock.price", id="a tool that does not exist"),
    pytest.param([run("a", "stock.level", itme="apple")], "itme", id="arguments that do not fit"),
    pytest.param(
        [{**run("a", "stock.level"), "arguments": output("b")}, run("b", "stock.level", item="x")],
        "arguments must be an object",
        id="arguments that are a reference",
    ),
    pytest.param(
        [run("a", "stock.level", item=output("b"))], "no output of a step b", id="a step that does not exist"
    ),
    pytest.param(
        [run("a", "stock.level", ("b",), item="apple")],
        "needs b",
        id="waiting for a step that does not exist",
    ),
    pytest.param(
        [run("a", "stock.level", item="x"), run("a", "stock.level", item="y")],
        "two steps are named plan1-a",
        id="two steps of one name",
    ),
    pytest.param(
        [run("a", "stock.level", item=output("b")), run("b", "stock.level", item=output("a"))],
        "wait for each other",
        id="a cycle",
    ),
    pytest.param(
        [run("a", "stock.level", item=output("a", "0"))], "a reference is", id="a reference of a wrong form"
    ),
    pytest.param([], "neither steps nor a result", id="nothing at all"),
    pytest.param(
        [run("a", "values.read", step="a", offset="x")], "do not fit values.read", id="reading on wrongly"
    ),
]


@pytest.mark.parametrize(("steps", "reason"), WRONG)
async def test_a_plan_that_cannot_be_run_goes_back_to_the_model_with_the_reason(
    steps: list[dict[str, Any]], reason: str
) -> None:
    @clerk
    def script(asked: Asked) -> Says:
        if not any(one.by == "model" for one in asked.messages):
            return planned(*steps)
        assert any(reason in one.text for one in asked.new)
        return planned(run("apples", "stock.level", item="apple"), result=output("apples"))

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == 3
        assert [len(plan.steps) for plan in plans(harness)] == [1]
        assert session.state.used.model_requests == 2


async def test_a_model_that_writes_no_plan_that_can_be_run_is_not_asked_for_ever() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(run("a", "stock.level", item=output("b")))

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "plan_does_not_fit"
        assert "no output of a step b" in letter.failure.message
        assert session.state.used.model_requests == 3


async def test_all_requests_for_a_plan_are_bounded_together() -> None:
    """Two for a first plan, which cannot be run: one is left, whatever is wrong with the next plan."""
    heard: list[Asked] = []

    @clerk
    def script(asked: Asked) -> Says:
        heard.append(asked)
        if len(heard) == 2:
            return planned(run("a", "stock.level", item=output("b")))
        return Says(output={"steps": "many"})

    async with Harness(script, level, documents=[DESK]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert len(heard) == session.state.used.model_requests == 3
        (letter,) = harness.dead_letters
        assert letter.failure.code == "output_does_not_fit"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"result": {"count": "three"}}, id="an answer"),
        pytest.param({"result": {"number": output("apples")}}, id="names beside a reference"),
    ],
)
async def test_a_result_that_does_not_fit_its_schema_is_asked_for_again(wrong: dict[str, Any]) -> None:
    @clerk
    def script(asked: Asked) -> Says:
        assert '"additionalProperties":false' in asked.instructions
        steps = [run("apples", "stock.level", item="apple")] if "number" in wrong["result"] else []
        if "the result does not fit its schema" in asked.prompt:
            return planned(*steps, result={"count": 3})
        return planned(*steps, **wrong)

    async with Harness(script, level, documents=[f"{DESK}output: {json.dumps(COUNT)}\n"]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == {"count": 3}
        assert session.state.used.model_requests == 2


@pytest.mark.parametrize(
    ("at", "reason"),
    [("", "is not of type 'integer'"), ("/amount", "has nothing at /amount")],
    ids=["it does not fit its schema", "there is nothing at its place"],
)
async def test_a_result_that_turns_out_not_to_fit_goes_back_to_the_model(at: str, reason: str) -> None:
    @clerk
    def script(asked: Asked) -> Says:
        if asked.turn == 0:
            both = run("both", "stock.add", amounts=[1, 2])
            return planned(both, result={"count": output("both", at)})
        assert reason in asked.prompt
        assert '{"sum":3}' in asked.prompt
        return planned(result={"count": output("both", "/sum")})

    async with Harness(script, add, documents=[f"{DESK}output: {json.dumps(COUNT)}\n"]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == {"count": 3}
        assert [plan.open for plan in plans(harness)] == [True, False]


async def test_a_rejected_plan_is_made_again_with_the_reason() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        if "one step is enough" in asked.prompt:
            return planned(SUM[0], result=output("apples"))
        return planned(*SUM, result=output("both"))

    document = desk("plan-execute", "reviewers: [{name: thrifty}]")
    async with Harness(script, thrifty, level, add, documents=[document]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == 3
        assert [step.step_id for step in plans(harness)[0].steps] == ["plan2-apples"]


@pytest.mark.parametrize("at", [None, ""], ids=["of a plan", "that was held back"])
async def test_a_rejected_result_is_made_again_with_the_outputs_at_hand(at: str | None) -> None:
    output_schema = ["output: {type: [integer, string]}"] if at is not None else []

    @clerk
    def script(asked: Asked) -> Says:
        if asked.turn == 0:
            return planned(run("apples", "stock.level", item="apple"), result=output("apples", at))
        assert "was not accepted. say please" in asked.prompt
        assert "<data" in asked.prompt
        return planned(result="three, please")

    document = desk("plan-execute", "evaluate: {evaluator: picky}", *output_schema)
    async with Harness(script, picky, level, documents=[document]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "three, please"
        assert session.state.used.model_requests == 2


async def test_another_process_goes_on_as_the_one_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model is shown does not depend on what a process remembers."""
    seen: dict[bool, list[list[str]]] = {True: [], False: []}

    for forgets in seen:

        @clerk
        def script(asked: Asked, forgets: bool = forgets) -> Says:
            if forgets:
                monkeypatch.setattr(handlers, "conversations", Conversations(most_bytes=0))
            seen[forgets].append([one.text for one in asked.messages])
            match asked.turn:
                case 0:
                    steps = [run("short", "stock.history", days=2), run("long", "stock.history", days=200)]
                    return planned(*steps, run("order", "stock.order", item="apple"))
                case 1:
                    days = [output("short", "/1/day"), output("long", "/199/day")]
                    return planned(run("sum", "stock.add", amounts=days), result=output("sum", "/sum"))
                case _:
                    return planned(result={"please": [output("plan2-sum", "/sum"), output("long", "/7/day")]})

        document = desk("plan-execute", "evaluate: {evaluator: picky}")
        async with Harness(script, picky, history, order, add, documents=[document]) as harness:
            session = await harness.submit("What was sold?", agent="desk", context={"since": "May"})
            assert session.result == {"please": [200, 7]}

    assert seen[True] == seen[False]
    assert len(seen[True]) == 3


async def test_a_large_output_is_shown_in_part_and_can_be_read_on_in() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        match asked.turn:
            case 0:
                return planned(run("sold", "stock.history", days=500))
            case 1:
                assert len(asked.prompt) < 6_000
                assert '"500 items"' in asked.prompt
                return planned(
                    run("more", "values.read", step="sold", pointer="/499/day"),
                    result=output("more", "/text"),
                )
            case _:
                raise AssertionError(asked.prompt)

    async with Harness(script, history, documents=[DESK]) as harness:
        session = await harness.submit("What was sold?", agent="desk")

        assert session.result == "499"
        segments = [one for one in harness.values.stored.values() if b'"messages"' in one]
        assert any(b'"$value"' in one for one in segments)
        assert not any(b"item 3 item 3" in one for one in segments)
        assert max(len(str(one)) for one in harness.produced) < 40_000


async def test_in_the_last_turn_there_is_an_answer_and_no_plan() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        if "give a result, and no steps" in asked.prompt:
            return planned(result="as far as I know: 3")
        assert ("This is the last turn" in asked.prompt) == (asked.turn > 0)
        return planned(run("apples", "stock.level", item="apple"))

    async with Harness(script, level, documents=[f"{DESK}limits: {{turns: 2}}\n"]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "as far as I know: 3"
        assert session.state.used.model_requests == 3


async def test_limits_of_tokens_hold_for_each_request_of_a_turn() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return Says(output={"steps": []}, tokens_input=4_000, tokens_output=100)

    document = desk("plan-execute", "limits: {tokens: 8000}", "tools: {allow: [stock.level]}")
    async with Harness(script, level, documents=[document]) as harness:
        session = await harness.submit("How many?", agent="desk")

        (letter,) = harness.dead_letters
        assert letter.failure.code == "limit_reached"
        used = session.state.used
        assert (used.tokens_input, used.tokens_output) == (4_000, 100)


async def test_a_plan_whose_step_fails_escalates_where_the_agent_wants_that() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(run("order", "stock.order", item="apple"), result=output("order"))

    async with Harness(script, order, documents=[f"{DESK}on_exhausted: escalate\n"]) as harness:
        session = await harness.submit("Order", agent="desk")

        assert session.outcome is None
        assert session.state.used.model_requests == 1


async def test_only_the_tools_that_the_agent_may_use_are_described() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        assert asked.output_schema is not None
        item = asked.output_schema["properties"]["steps"]["items"]["properties"]
        assert item["tool"]["enum"] == ["stock.level"]
        assert "- stock.level: How many of an item there are.\n  arguments: {" in asked.instructions
        assert "stock.order" not in asked.instructions
        return planned(result="yes")

    async with Harness(script, level, order, documents=[f"{DESK}tools: {{allow: [stock.l*]}}\n"]) as harness:
        session = await harness.submit("What can you do?", agent="desk")

        assert session.result == "yes"


async def test_an_agent_without_tools_can_answer() -> None:
    @clerk
    def script(asked: Asked) -> Says:
        return planned(result="no tools" if "There are no tools." in asked.instructions else "tools")

    async with Harness(script, documents=[f'{DESK}tools: {{deny: ["*"]}}\n']) as harness:
        session = await harness.submit("What can you do?", agent="desk")

        assert session.result == "no tools"

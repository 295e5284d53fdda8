"""Agents of pydantic-ai as durable ones: whole sessions in memory."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from orchestrator_services.agents import durable
from orchestrator_services.planner import handlers
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext, Tool, ToolReturn, UsageLimits
from pydantic_ai.capabilities import ProcessHistory
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel

from orchestrator.messages import events
from orchestrator.sdk import Context, Conversations, FailureKind, PlanRequest, TransientError, tool
from orchestrator.testing import Harness
from tests.unit.agents.support import Seen, calls, model, outcome, plans, says
from tests.unit.models.support import until


@dataclass
class Shop:
    town: str


class Count(BaseModel):
    item: str
    pieces: int


def counts(item: str) -> int:
    """How many of an item there are."""
    return {"apple": 3, "pear": 5}.get(item, 0)


def answers(seen: Seen) -> ModelResponse:
    """Counts apples and pears side by side, and says what it was told."""
    if seen.turn == 0:
        return calls(("counts", {"item": "apple"}), ("counts", {"item": "pear"}))
    return says(" and ".join(one.splitlines()[1] for one in seen.new))


def goes_on(_seen: Seen) -> ModelResponse:
    """Never comes to an end."""
    return calls(("counts", {"item": "apple"}))


async def test_calls_of_tools_are_steps_side_by_side() -> None:
    desk = Agent(model(answers), name="desk", tools=[counts])

    session, harness = await outcome(durable(desk))

    assert session.result == "3 and 5"
    first, last = plans(harness)
    assert [(step.step_id, step.tool, step.after) for step in first.steps] == [
        ("turn1-1", "desk.counts", ()),
        ("turn1-2", "desk.counts", ()),
    ]
    assert (first.open, last.steps) == (True, ())
    used = session.state.used
    assert (used.model_requests, used.tool_calls) == (2, 2)


async def test_what_its_model_writes_is_shown_by_the_names_of_the_platform() -> None:
    async def writes(messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if len(messages) == 1:
            yield {0: DeltaToolCall("counts", '{"item":')}
            yield {0: DeltaToolCall(json_args='"apple"}')}
        else:
            yield "There are "
            yield "three."

    desk = Agent(FunctionModel(stream_function=writes), name="desk", tools=[counts])

    async with Harness(durable(desk)) as harness:
        session = await harness.submit("How many?", agent="desk")

        def shown() -> list[events.ModelProgressed]:
            return [one for one in harness.produced if isinstance(one, events.ModelProgressed)]

        await until(lambda: sum(one.ended for one in shown()) == 2)
        assert session.result == "There are three."
        assert [(one.tool, one.text) for one in shown()] == [
            ("desk.counts", '{"item":"apple"}'),
            ("", "There are three."),
        ]


async def test_the_agent_without_the_platform_is_asked_the_same() -> None:
    seen: list[Seen] = []

    def script(one: Seen) -> ModelResponse:
        seen.append(one)
        return calls(("counts", {"item": "apple"})) if one.turn == 0 else says("done")

    desk = Agent(model(script), name="desk", tools=[counts], instructions="Count twice.")

    await desk.run("How many?")
    await outcome(durable(desk))

    alone, durably = seen[0], seen[2]
    assert durably.tools == alone.tools
    assert durably.instructions.startswith(alone.instructions)
    assert durably.prompts == alone.prompts


async def test_tools_and_instructions_get_dependencies_where_they_run() -> None:
    services: list[str] = []

    async def make(context: Context) -> Shop:
        services.append(context.service)
        return Shop("Oslo")

    def script(seen: Seen) -> ModelResponse:
        assert "You work in Oslo." in seen.instructions
        return calls(("where", {})) if seen.turn == 0 else says(seen.new[0])

    desk = Agent(model(script), name="desk", deps_type=Shop)

    @desk.instructions
    def town(ctx: RunContext[Shop]) -> str:
        return f"You work in {ctx.deps.town}."

    @desk.tool
    async def where(ctx: RunContext[Shop]) -> str:
        """Where the shop is."""
        return f"{ctx.tool_name} in {ctx.deps.town}, session {ctx.run_id}"

    session, _ = await outcome(durable(desk, deps=make))

    assert f"where in Oslo, session {session.correlation_id}" in session.result
    assert services == ["planner", "tool-executor", "planner"]


async def test_dependencies_may_be_those_of_the_task() -> None:
    async def of_the_task(context: Context) -> Shop:
        task = (await context.history()).events[0]
        assert isinstance(task, events.TaskReceived)
        return Shop((await context.values.load(task.context))["town"])

    def script(seen: Seen) -> ModelResponse:
        return calls(("where", {})) if seen.turn == 0 else says(seen.new[0].splitlines()[1])

    desk = Agent(model(script), name="desk", deps_type=Shop)

    @desk.tool
    def where(ctx: RunContext[Shop]) -> str:
        return ctx.deps.town

    session, _ = await outcome(durable(desk, deps=of_the_task), context={"town": "Bergen"})

    assert session.result == "Bergen"


async def test_a_tool_that_fails_once_is_retried_and_the_model_does_not_notice() -> None:
    runs: list[str] = []

    def flaky(item: str) -> int:
        runs.append(item)
        if len(runs) == 1:
            raise TransientError("the warehouse does not respond")
        return 3

    def script(seen: Seen) -> ModelResponse:
        return calls(("flaky", {"item": "apple"})) if seen.turn == 0 else says(seen.new[0])

    session, _ = await outcome(durable(Agent(model(script), name="desk", tools=[flaky])))

    assert session.result == '<data tool="desk.flaky" step="turn1-1">\n3\n</data>'
    assert runs == ["apple", "apple"]


@pytest.mark.parametrize(
    ("error", "code", "runs"),
    [
        pytest.param(ModelRetry("say which shelf"), "model_retry", 1, id="asks the model to try again"),
        pytest.param(ToolFailed("the shop has burnt down"), "tool_failed", 1, id="says that it failed"),
        pytest.param(KeyError("apple"), "tool_error", 1, id="has a bug"),
        pytest.param(ConnectionError("no route"), "unavailable", 3, id="cannot be reached"),
    ],
)
async def test_what_a_tool_fails_with_goes_to_the_model(error: Exception, code: str, runs: int) -> None:
    told: list[str] = []
    begun: list[str] = []

    def order(item: str) -> str:
        begun.append(item)
        raise error

    def script(seen: Seen) -> ModelResponse:
        told.extend(seen.new)
        return calls(("order", {"item": "apple"})) if seen.turn == 0 else says("another time")

    session, harness = await outcome(durable(Agent(model(script), name="desk", tools=[order])))

    assert session.result == "another time"
    assert (len(begun), len(told)) == (runs, 1)
    assert f'failure="{code}"' in told[0]
    assert str(error).strip("'") in told[0]
    assert not harness.dead_letters


async def test_arguments_that_do_not_fit_go_back_to_the_model_in_the_same_turn() -> None:
    def even(ctx: RunContext[object], days: int) -> None:
        if days % 2:
            raise ModelRetry("days must be even")

    def sold(days: int) -> str:
        return f"{days} days"

    def script(seen: Seen) -> ModelResponse:
        if seen.turn == 0:
            return calls(("counts", {"itme": "apple"}), ("price", {}), ("sold", {"days": 3}))
        if seen.turn == 1:
            assert len(seen.new) == 3
            return calls(("sold", {"days": "4"}))
        return says(seen.new[0].splitlines()[1])

    desk = Agent(model(script), name="desk", tools=[counts, Tool(sold, args_validator=even)])
    session, harness = await outcome(durable(desk))

    assert session.result == "4 days"
    assert [len(plan.steps) for plan in plans(harness)] == [1, 0]


async def test_output_is_json_that_the_agent_has_validated() -> None:
    desk = Agent(
        model(lambda seen: seen.done(item="apple", pieces=0 if seen.turn == 0 else 3)),
        name="desk",
        output_type=Count,
        instructions="Count.",
    )
    validated: list[Any] = []

    @desk.output_validator
    def some(output: Count) -> Count:
        validated.append(output.pieces)
        if not output.pieces:
            raise ModelRetry("count again")
        return output

    session, harness = await outcome(durable(desk))

    assert session.result == {"item": "apple", "pieces": 3}
    assert validated == [0, 3]
    assert len(plans(harness)) == 1


async def test_output_validators_never_see_calls() -> None:
    def script(seen: Seen) -> ModelResponse:
        return calls(("counts", {"item": "apple"})) if seen.turn == 0 else seen.done(item="apple", pieces=3)

    desk = Agent(model(script), name="desk", output_type=[Count, bool], tools=[counts])
    validated: list[Any] = []

    @desk.output_validator
    def keep(output: Any) -> Any:
        validated.append(output)
        return output

    def script_of_union(seen: Seen) -> ModelResponse:
        if seen.turn == 0:
            return calls(("counts", {"item": "apple"}))
        return calls(("final_result_Count", {"item": "apple", "pieces": 3}))

    desk.model = model(script_of_union)
    session, _ = await outcome(durable(desk))

    assert session.result == {"item": "apple", "pieces": 3}
    assert validated == [Count(item="apple", pieces=3)]


async def test_output_that_never_fits_ends_in_a_failure_that_says_why() -> None:
    desk = Agent(model(lambda seen: seen.done(item="apple")), name="desk", output_type=Count)

    _, harness = await outcome(durable(desk))

    (letter,) = harness.dead_letters
    assert letter.failure.code == "output_does_not_fit"
    assert "pieces" in letter.failure.message


async def test_history_processors_see_the_whole_conversation_of_the_session() -> None:
    lengths: list[int] = []

    async def last_two(messages: list[ModelMessage]) -> list[ModelMessage]:
        lengths.append(len(messages))
        return messages[-2:]

    def script(seen: Seen) -> ModelResponse:
        assert len(seen.messages) <= 2
        turn = len(lengths)
        return calls(("counts", {"item": f"apple{turn}"})) if turn < 4 else says("done")

    desk = Agent(model(script), name="desk", tools=[counts], capabilities=[ProcessHistory(last_two)])

    session, _ = await outcome(durable(desk))

    assert session.result == "done"
    assert lengths == [1, 3, 5, 7]


async def test_another_process_goes_on_as_the_one_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[bool, list[list[str]]] = {True: [], False: []}

    def sold(days: int) -> list[str]:
        return [f"day {day}: apples" for day in range(days)]

    for forgets in seen:

        def script(one: Seen, forgets: bool = forgets) -> ModelResponse:
            if forgets:
                monkeypatch.setattr(handlers, "conversations", Conversations(most_bytes=0))
            seen[forgets].append([*one.prompts, *one.new, str(len(one.messages))])
            return calls(("sold", {"days": [2, 5000, 2][one.turn]})) if one.turn < 3 else says("done")

        desk = Agent(model(script), name="desk", tools=[sold], system_prompt="You keep books.")
        session, _ = await outcome(durable(desk), "What was sold?", context={"since": "May"})
        assert session.result == "done"

    assert seen[True] == seen[False]


async def test_an_output_too_large_to_be_shown_whole_can_be_read_on_in() -> None:
    def sold(days: int) -> list[str]:
        return [f"day {day}: apples" for day in range(days)]

    def script(seen: Seen) -> ModelResponse:
        match seen.turn:
            case 0:
                return calls(("sold", {"days": 5000}))
            case 1:
                assert len(seen.new[0]) < 6_000
                return calls(("values_read", {"step": "turn1-1", "pointer": "/4999"}))
            case _:
                return says(seen.new[0])

    session, _ = await outcome(durable(Agent(model(script), name="desk", tools=[sold])))

    assert "day 4999" in session.result


async def test_a_sequential_tool_runs_alone() -> None:
    def script(seen: Seen) -> ModelResponse:
        some = ("counts", {"item": "apple"})
        return calls(some, some, ("book", {}), some, some) if seen.turn == 0 else says("done")

    def book() -> None:
        """Books."""

    desk = Agent(model(script), name="desk", tools=[counts, Tool(book, sequential=True)])
    _, harness = await outcome(durable(desk))

    assert [step.after for step in plans(harness)[0].steps] == [
        (),
        (),
        ("turn1-1", "turn1-2"),
        ("turn1-3",),
        ("turn1-3",),
    ]


async def test_a_tool_that_may_run_only_once_and_timed_out_is_not_asked_for_again() -> None:
    """Of its own timeout the library says that the model should try again."""
    told: list[str] = []

    async def order(item: str) -> str:
        await asyncio.Event().wait()
        return item

    def script(seen: Seen) -> ModelResponse:
        told.extend(seen.new)
        return calls(("order", {"item": "apple"})) if seen.turn == 0 else says("I cannot tell")

    desk = Agent(model(script), name="desk", tools=[Tool(order, timeout=0.05)])
    session, harness = await outcome(durable(desk, at_most_once=["order"]))

    assert session.result == "I cannot tell"
    assert "it may still have had its effect" in told[-1]
    (failed,) = (one for one in harness.produced if isinstance(one, events.ToolFailed))
    assert (failed.failure.kind, failed.failure.code) == (FailureKind.UNKNOWN_OUTCOME, "timeout")


async def test_a_tool_may_run_at_most_once() -> None:
    begun: list[str] = []

    def order(item: str) -> str:
        begun.append(item)
        raise ConnectionError("the connection broke")

    def script(seen: Seen) -> ModelResponse:
        return calls(("order", {"item": "apple"})) if seen.turn == 0 else says(seen.new[0])

    desk = Agent(model(script), name="desk", tools=[order])
    session, _ = await outcome(durable(desk, at_most_once=["order"]))

    assert begun == ["apple"]
    assert "it may still have had its effect" in session.result


async def test_what_a_tool_returns_besides_its_value_is_kept() -> None:
    def photo(of: str) -> ToolReturn:
        return ToolReturn(return_value="seen", content=f"a photo of {of}")

    def script(seen: Seen) -> ModelResponse:
        return calls(("photo", {"of": "apple"})) if seen.turn == 0 else says(seen.new[0].splitlines()[1])

    session, _ = await outcome(durable(Agent(model(script), name="desk", tools=[photo])))

    assert session.result == '{"return_value":"seen","content":"a photo of apple"}'


async def test_the_first_prompt_may_be_written_by_a_function() -> None:
    def ask(request: PlanRequest) -> str:
        return f"{request.goal} In {request.context['town']}."

    desk = Agent(model(lambda seen: says(seen.prompts[0])), name="desk")
    session, _ = await outcome(durable(desk, prompt=ask), context={"town": "Oslo"})

    assert session.result == "How many? In Oslo."


async def test_settings_of_the_agent_go_before_the_platforms() -> None:
    asked: list[Any] = []

    def script(seen: Seen) -> ModelResponse:
        asked.append(dict(seen.settings))
        return says("done")

    await outcome(durable(Agent(model(script), name="desk", model_settings={"max_tokens": 77})))

    assert (asked[0]["max_tokens"], asked[0]["max_retries"]) == (77, 0)
    assert asked[0]["request_timeout"] > 0


async def test_usage_limits_are_those_of_the_session() -> None:
    desk = Agent(model(goes_on), name="desk", tools=[counts])

    session, harness = await outcome(durable(desk, usage_limits=UsageLimits(request_limit=2)))

    (letter,) = harness.dead_letters
    assert letter.failure.code == "limit_reached"
    assert "request_limit of 2" in letter.failure.message
    assert session.state.used.model_requests == 2


async def test_limits_of_the_profile_hold() -> None:
    desk = Agent(model(goes_on), name="desk", tools=[counts])
    document = "{agent: desk, planner: desk, limits: {tokens: 3000}}"

    session, harness = await outcome(durable(desk), "How many?", document)

    (letter,) = harness.dead_letters
    assert letter.failure.code == "limit_reached"
    used = session.state.used
    assert used.tokens_input + used.tokens_output <= 3000


async def test_a_profile_may_allow_tools_of_the_platform_and_deny_some_of_the_agent() -> None:
    document = "{agent: desk, planner: desk, tools: {allow: [desk.*, stock.*], deny: [desk.counts]}}"

    def spare() -> None:
        """Not denied."""

    @tool("stock.level")
    def level(item: str) -> int:
        return {"apple": 3}[item]

    def script(seen: Seen) -> ModelResponse:
        if seen.turn == 0:
            assert seen.tools == ["spare", "stock_level"]
            return calls(("stock_level", {"itme": "apple"}), ("stock_level", {"item": "apple"}))
        (level,) = (one for one in seen.new if "<data" in one)
        return says(level.splitlines()[1])

    desk = Agent(model(script), name="desk", tools=[counts, spare])
    async with Harness(durable(desk), level, documents=[document]) as harness:
        session = await harness.submit("How many?", agent="desk")

        assert session.result == "3"
        assert [step.tool for step in plans(harness)[0].steps] == ["stock.level"]


async def test_a_profile_without_a_list_of_tools_allows_those_of_the_agent_only() -> None:
    desk = Agent(model(lambda seen: says(", ".join(seen.tools))), name="desk", tools=[counts])

    session, _ = await outcome(durable(desk), "How many?", "{agent: desk, planner: desk}")

    assert session.result == "counts"


async def test_a_fallback_of_the_agents_own_is_asked_where_its_first_model_fails() -> None:
    from pydantic_ai.exceptions import ModelHTTPError

    def gone(_seen: Seen) -> ModelResponse:
        raise ModelHTTPError(503, "gone")

    desk = Agent(FallbackModel(model(gone), model(answers)), name="desk", tools=[counts])
    session, _ = await outcome(durable(desk))

    assert session.result == "3 and 5"


async def test_the_librarys_test_model_calls_every_tool() -> None:
    desk = Agent(TestModel(), name="desk", tools=[counts])

    session, harness = await outcome(durable(desk))

    assert [step.tool for step in plans(harness)[0].steps] == ["desk.counts"]
    assert session.outcome == "COMPLETED"


async def test_an_agent_without_a_model_needs_one_from_its_profile() -> None:
    _, harness = await outcome(durable(Agent(name="desk")))

    (letter,) = harness.dead_letters
    assert letter.failure.code == "no_model"


async def test_a_tool_that_asks_for_an_approval_when_it_runs_is_told_that_there_is_none() -> None:
    from pydantic_ai.exceptions import ApprovalRequired

    def pay() -> None:
        raise ApprovalRequired

    def script(seen: Seen) -> ModelResponse:
        return calls(("pay", {})) if seen.turn == 0 else says(seen.new[0])

    session, _ = await outcome(durable(Agent(model(script), name="desk", tools=[pay])))

    assert 'failure="not_supported"' in session.result


async def test_two_agents_have_tools_of_one_name() -> None:
    desks = [durable(Agent(model(answers), name=name, tools=[counts])) for name in ("desk", "till")]

    async with Harness(*desks) as harness:
        for name in ("desk", "till"):
            session = await harness.submit("How many?", agent=name)
            assert session.result == "3 and 5"

        ran = [one.tool for one in harness.produced if isinstance(one, events.ToolCompleted)]
        assert ran == ["desk.counts"] * 2 + ["till.counts"] * 2


async def test_what_is_away_while_the_agent_plans_is_tried_again() -> None:
    desk = Agent(model(answers), name="desk", tools=[counts])
    asked: list[str] = []

    @desk.instructions
    def opening() -> str:
        asked.append("opening hours")
        if len(asked) == 1:
            raise ConnectionError("the calendar does not respond")
        return "Open until six."

    session, harness = await outcome(durable(desk))

    assert session.result == "3 and 5"
    (failed,) = (one for one in harness.produced if isinstance(one, events.PlanningFailed))
    assert failed.failure.code == "unavailable"
    assert "desk: ConnectionError: the calendar does not respond" in failed.failure.message


async def test_a_mistake_in_the_agents_code_says_which_agent_has_it() -> None:
    desk = Agent(model(answers), name="desk")

    @desk.instructions
    def opening() -> str:
        raise KeyError("hours")

    _, harness = await outcome(durable(desk))

    (letter,) = harness.dead_letters
    assert letter.failure.code == "agent_error"
    assert "desk: KeyError: 'hours'" in letter.failure.message


async def test_a_blocking_tool_has_a_thread_of_its_own() -> None:
    threads: list[threading.Thread] = []

    def block() -> str:
        threads.append(threading.current_thread())
        return "done"

    def script(seen: Seen) -> ModelResponse:
        return calls(("block", {}), ("block", {})) if seen.turn == 0 else says("done")

    await outcome(durable(Agent(model(script), name="desk", tools=[block])))

    first, second = threads
    assert first is not second
    assert first.daemon
    assert second.daemon


async def test_the_profile_that_comes_with_an_agent_has_its_usage_limits() -> None:
    desk = Agent(model(goes_on), name="desk", tools=[counts])
    limits = UsageLimits(request_limit=None, tool_calls_limit=2)

    session, _ = await outcome(durable(desk, usage_limits=limits))

    assert session.state.used.tool_calls == 2
    assert session.outcome != "COMPLETED"

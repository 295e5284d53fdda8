"""Agents that think do tasks on a real Kafka. Everything is a process: the services, and the server of the model.

The model is reached by the real client of OpenAI's protocol. What goes wrong is in the scripts, by task.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.types import FailureKind
from tests.integration.thinking.desk import Desk, Settled, running_desk, until
from tests.integration.thinking.strategies import STRATEGIES, Strategy
from tests.support.model_server.ledger import Outcome
from tests.support.trace_tree import Span, orphans, roots

pytestmark = pytest.mark.integration

TOKENS_INPUT = "gen_ai.usage.input_tokens"


@pytest.fixture(scope="module")
def desk(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(kafka_stack, tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.fixture(params=STRATEGIES, ids=str)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    found: Strategy = request.param
    return found


def failures(settled: Settled) -> list[tuple[str, str]]:
    """Each failure of planner and tools: the tool, and the failure's code."""
    return [
        *[("", event.failure.code) for event in settled.all(events.PlanningFailed)],
        *[(event.tool, event.failure.code) for event in settled.all(events.ToolFailed)],
    ]


async def test_tools_run_side_by_side(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("side by side", strategy)

    assert done.result == {"answer": "left met right and right met left"}
    assert done.used == done.charged
    assert failures(done) == []


async def test_a_tool_that_fails_once_is_tried_again_unnoticed(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("fails once", strategy)

    assert done.result == {"answer": "40"}
    assert [tool for tool, _ in failures(done)] == [strategy.tool("stock.price")]
    assert done.ran() == [strategy.tool("stock.price")]
    assert done.used == done.charged


async def test_a_tool_that_fails_for_good_is_thought_around(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("fails for good", strategy)

    assert done.result == {"answer": "ordered 1 x pear"}
    assert [tool for tool, _ in failures(done)] == [strategy.tool("stock.order")]
    assert (desk.place(done.session) / "orders").read_text() == "1 x pear\n"
    assert done.used == done.charged


@pytest.mark.parametrize("mistake", ["bad tool name", "bad arguments"])
async def test_a_call_that_cannot_run_goes_back_to_the_model(
    desk: Desk, strategy: Strategy, mistake: str
) -> None:
    done = await desk.does(mistake, strategy)

    assert done.result == {"answer": "3"}
    assert done.ran() == [strategy.tool("stock.level")]
    assert failures(done) == []
    assert done.used == done.charged


async def test_output_that_does_not_fit_is_asked_for_again(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("bad output", strategy)

    assert done.result == {"answer": "forty-two"}
    assert done.used == done.charged
    own = done.requests[0].conversation
    assert [each.turn for each in done.requests if each.conversation == own] == [0, 1]


async def test_a_rate_limit_spends_no_attempt(desk: Desk, strategy: Strategy) -> None:
    """The agent has two attempts; the server refuses three times, and says how long to wait."""
    done = await desk.does("rate limited", strategy)

    assert done.result == {"answer": "3"}
    assert failures(done) == [("", "rate_limited")] * 3
    assert all(event.spared and event.delay_ms >= 300 for event in done.all(events.RetryScheduled))
    assert done.requests_with(Outcome.REFUSED) == 3
    assert done.used == done.charged


async def test_a_stream_that_breaks_in_the_middle_is_asked_for_again(desk: Desk, strategy: Strategy) -> None:
    """Nobody can know what a reply has cost that did not come: it is not counted."""
    # given: people have read the beginning of a reply
    begun = await desk.begins("broken reply", strategy)
    await until(lambda: words(desk.shown(begun.session)) != "", "the first words are shown")
    # when
    desk.server.release(begun.goal)
    done = await desk.settle(begun)
    # then
    assert done.result == {"answer": "3"}
    assert done.requests_with(Outcome.LOST) == 1
    assert all(each.streamed for each in done.requests)
    assert done.used == done.charged
    # The beginning is shown again, with the rest.
    (failed,) = done.all(events.PlanningFailed)
    await until(lambda: any(one.ended for one in desk.shown(begun.session)), "the reply is shown")
    shown = desk.shown(begun.session)
    broken = words([one for one in shown if one.call == failed.call])
    again = words([one for one in shown if one.call.attempt == failed.call.attempt + 1])
    assert again.startswith(broken)
    assert len(again) > len(broken) > 0


def words(shown: Sequence[events.ModelProgressed]) -> str:
    """The first part of what a model wrote in its first turn."""
    return "".join(one.text for one in shown if one.part == 0 and one.call.revision == 1)


async def test_a_server_that_is_gone_for_a_while_is_waited_for(desk: Desk) -> None:
    # given: a session of each strategy, whose tool runs
    begun = {each: await desk.begins("waiting", each) for each in STRATEGIES}
    places = [desk.place(one.session) for one in begun.values()]
    await until(lambda: all((place / "waiting").exists() for place in places), "the tools wait")
    # when: the server is gone, and planners have failed to reach it more often than they have attempts
    desk.server.stop()
    try:
        for place in places:
            (place / "go on").touch()
        await asyncio.gather(*[desk.failed(one, times=3) for one in begun.values()])
    finally:
        desk.server.start()
    # then
    for strategy, one in begun.items():
        done = await desk.settle(one)
        assert done.result == {"answer": "waited"}
        assert done.ran() == [strategy.tool("shop.wait")]
        assert {code for _, code in failures(done)} == {"model_unavailable"}
        assert done.used == done.charged


@pytest.mark.parametrize(("task", "code"), [("too long", "context_too_long"), ("bad key", "bad_credentials")])
async def test_what_no_waiting_mends_is_a_dead_letter_with_the_reason(
    desk: Desk, strategy: Strategy, task: str, code: str
) -> None:
    settled = await desk.does(task, strategy)

    assert isinstance(settled.end, events.TaskEscalated)
    assert failures(settled) == [("", code)]
    failure = settled.all(events.PlanningFailed)[0].failure
    assert failure.kind is FailureKind.PERMANENT
    letter = await desk.dead_letter(settled.session)
    assert letter.failure.code == code
    assert letter.failure.message.startswith(failure.message)
    assert settled.used == settled.charged


async def test_refused_credentials_are_an_error_in_the_log(desk: Desk, strategy: Strategy) -> None:
    await desk.does("bad key", strategy)

    errors = [each for each in desk.log("planner").splitlines() if '"level": "error"' in each]
    (line,) = [each for each in errors if f"openai-chat:{strategy} refused the credentials" in each]
    assert "OPENAI_API_KEY" in line


async def test_all_of_it_in_one_task(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("everything", strategy)

    assert done.result == {"answer": "55 and ordered 5 x pear"}
    assert (desk.place(done.session) / "orders").read_text() == "5 x pear\n"
    assert done.requests_with(Outcome.LOST) == 1
    assert done.used == done.charged


async def test_conversations_are_read_back_with_each_turn_once(desk: Desk) -> None:
    done = [await desk.does("everything", each) for each in STRATEGIES]

    shown = await asyncio.gather(*[asyncio.to_thread(conversation, desk, one) for one in done])

    for one, found in zip(done, shown, strict=True):
        turns = one.all(events.PlanAccepted)
        assert [turn["turn"] for turn in found["turns"]] == list(range(1, len(turns) + 1))
        assert sum(turn["used"]["model_requests"] for turn in found["turns"]) == one.used.model_requests


def conversation(desk: Desk, done: Settled) -> Any:
    return desk.installation.json("sessions", "conversation", done.session, "--from-log")


async def test_the_key_is_nowhere(desk: Desk) -> None:
    """Not even where a server repeats it."""
    done = [await desk.does("everything", each) for each in STRATEGIES]
    refused = [await desk.does("bad key", each) for each in STRATEGIES]

    written = desk.written()

    for one in done:
        assert any(one.session.encode() in content for content in written.values())
    for one in refused:
        assert one.session.encode() in written["topic dead-letters"]
    secret = desk.key.removeprefix("sk-proj-").encode()
    assert [name for name, content in written.items() if secret in content] == []


async def test_the_trace_has_each_turn_with_its_requests_and_tools(desk: Desk, strategy: Strategy) -> None:
    done = await desk.does("everything", strategy)

    runs: list[events.ToolCompleted | events.ToolFailed]
    runs = [*done.all(events.ToolCompleted), *done.all(events.ToolFailed)]

    def is_complete(spans: list[Span]) -> bool:
        kinds = Counter(span.name.partition(" ")[0] for span in spans)
        ended = any(span.name == f"invoke_agent {strategy} ended" for span in spans)
        leaves = (kinds["chat"], kinds["execute_tool"]) == (len(done.requests), len(runs))
        return ended and leaves and not orphans(spans)

    spans = await desk.trace(done, is_complete)

    assert roots(spans) == [f"invoke_agent {strategy}"]
    # A span for each turn, and for each attempt at one that failed.
    planning = [span for span in spans if span.name == "plan"]
    assert sum(not span.failed for span in planning) == len(done.all(events.PlanAccepted))
    assert sum(span.failed for span in planning) == len(done.all(events.PlanningFailed))
    turns = sorted(span.numbers["agents.plan.turn"] for span in planning if not span.failed)
    assert turns == list(range(1, len(turns) + 1))
    # A span for each request, below that of its turn.
    chats = [span for span in spans if span.name.startswith("chat ")]
    assert {span.parent for span in chats} <= {span.span_id for span in planning}
    assert sum(not span.failed for span in chats) == done.used.model_requests
    for those in (planning, chats):
        assert sum(span.numbers.get(TOKENS_INPUT, 0) for span in those) == done.used.tokens_input
    # This installation wants to see what was asked and answered.
    assert all("gen_ai.input.messages" in span.texts for span in chats)
    assert all("gen_ai.output.messages" in span.texts for span in chats if not span.failed)
    assert not [span for span in spans if desk.key in str(span.texts)]
    # A span for each run of a tool.
    tools = Counter((span.name, span.failed) for span in spans if span.name.startswith("execute_tool"))
    assert tools == Counter((f"execute_tool {run.tool}", isinstance(run, events.ToolFailed)) for run in runs)

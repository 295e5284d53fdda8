"""The log says what was charged, whoever saw it, and the server may be gone for a while."""

import asyncio
from pathlib import Path

import pytest
from pydantic_ai import RunUsage
from pydantic_ai.exceptions import ModelConnectionError, ModelRateLimitError, ModelRequestRejectedError

from tests.support.model_server import BreakStream, Hang, ModelServer, Usage, tokens
from tests.support.model_server.ledger import Outcome
from tests.unit.support.model_agents import agent, lines, size, stream


def counted(usage: RunUsage) -> Usage:
    return Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_log_has_the_usage_that_the_client_counts(server: ModelServer, streamed: bool) -> None:
    task = f"Count {'streamed' if streamed else 'whole'} usage."
    async with agent("counting", tools=[size, lines]) as counting:
        result = await (stream(counting, task, []) if streamed else counting.run(task))
        usage = result.usage

    assert counted(usage) == server.charged(task)
    assert usage.requests == len(server.requests(task)) == 2


async def test_tokens_are_four_bytes_and_those_seen_before_are_cached(server: ModelServer) -> None:
    async with agent("counting", tools=[size, lines]) as counting:
        await counting.run("Count tokens.")

    first, second = (each.usage for each in server.requests("Count tokens."))
    messages = server.last("Count tokens.").messages
    assert first == Usage(
        tokens(messages[:1]), len('Both at once.size{"path": "a.md"}lines{"path": "b.md"}') // 4, 0
    )
    assert second is not None
    assert second.prompt_tokens == tokens(messages)
    assert second.cached_tokens == tokens(messages[:1])


async def test_a_lost_reply_is_charged_though_its_client_counts_nothing(server: ModelServer) -> None:
    server.plant(BreakStream(), about="Lose it.")
    async with agent("talking") as talking:
        with pytest.raises(ModelConnectionError):
            await talking.run("Lose it.")
        usage = (await talking.run("Lose it.")).usage

    assert server.charged("Lose it.", lost=False) == counted(usage)
    assert server.charged("Lose it.").completion_tokens == 2 * usage.output_tokens


async def test_a_script_that_fails_is_reported_by_the_log(own_server: ModelServer) -> None:
    async with agent("wrong") as wrong:
        with pytest.raises(ModelRequestRejectedError, match="the script of wrong failed: IndexError"):
            await wrong.run("Fail.")

    with pytest.raises(AssertionError, match=r"the script of wrong failed: IndexError.* \(turn 0\)"):
        own_server.requests()


async def test_a_server_is_gone_and_comes_back_at_the_same_port(own_server: ModelServer) -> None:
    async with agent("shaky", tools=[size]) as shaky:
        with pytest.raises(ModelRateLimitError):
            await shaky.run("Go on.")
        port, pid = own_server.port, own_server.pid

        own_server.stop()
        with pytest.raises(ModelConnectionError) as gone:
            await shaky.run("Go on.")
        own_server.start()

        # What the log has counts on: the turn's second fault is due.
        with pytest.raises(ModelConnectionError) as broken:
            await shaky.run("Go on.")
        result = await shaky.run("Go on.")

    assert (gone.value.phase, broken.value.phase) == ("connect", "read")
    assert result.output == "It holds after all."
    assert own_server.port == port
    assert own_server.pid != pid
    assert [each.number for each in own_server.requests()] == [1, 2, 3, 4, 5, 6]


async def test_a_request_that_the_server_dies_with_is_lost_and_charged(own_server: ModelServer) -> None:
    own_server.plant(Hang("end", after_chunks=2))
    async with agent("talking") as talking:
        running = asyncio.create_task(talking.run("Die."))
        await asyncio.to_thread(own_server.wait_held, "end")
        own_server.stop()
        with pytest.raises(ModelConnectionError):
            await running
    own_server.start()

    (request,) = own_server.requests()
    assert request.outcome == Outcome.LOST
    assert request.usage is not None
    assert own_server.charged() == request.usage


def test_half_a_line_of_a_killed_process_is_left_out(own_server: ModelServer, tmp_path: Path) -> None:
    own_server.stop()
    (tmp_path / "requests.jsonl").write_text('{"number": 1, "rec')
    own_server.start()

    assert own_server.requests() == []


def test_a_server_that_cannot_start_says_so() -> None:
    with (
        pytest.raises(AssertionError, match="the model server did not start"),
        ModelServer("tests.no_such_scripts"),
    ):
        pass

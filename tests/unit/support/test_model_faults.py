"""Each fault reaches its user as the typed error of the real client."""

import asyncio

import pytest
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
)
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.settings import ModelSettings

from tests.support.model_server import (
    BreakStream,
    Hang,
    ModelServer,
    Overloaded,
    ServerError,
    TooManyRequests,
)
from tests.support.model_server.ledger import Outcome
from tests.unit.support.model_agents import agent, size, stream, texts


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("limited", ModelRateLimitError),
        ("broke", ModelQuotaExceededError),
        ("overloaded", ModelOverloadedError),
        ("failing", ModelServerError),
        ("full", ModelContextWindowExceededError),
        ("locked", ModelAuthenticationError),
        ("refusing", ContentFilterError),
    ],
)
async def test_a_refusal_is_the_error_of_its_kind(
    server: ModelServer, model: str, error: type[Exception], streamed: bool
) -> None:
    async with agent(model) as failing:
        with pytest.raises(error) as raised:
            await (stream(failing, "Fail.", []) if streamed else failing.run("Fail."))

    assert getattr(raised.value, "retry_after", None) == (7 if model == "limited" else None)


async def test_faults_of_a_script_befall_the_first_times_of_a_turn(server: ModelServer) -> None:
    async with agent("shaky", tools=[size]) as shaky:
        with pytest.raises(ModelRateLimitError) as limited:
            await shaky.run("Shake.")
        with pytest.raises(ModelConnectionError):
            await shaky.run("Shake.")
        result = await shaky.run("Shake.")

    assert limited.value.retry_after == 1.5
    assert result.output == "It holds after all."
    assert [(each.turn, each.seen, each.outcome) for each in server.requests("Shake.")] == [
        (0, 1, Outcome.ANSWERED),
        (1, 1, Outcome.REFUSED),
        (0, 2, Outcome.ANSWERED),
        (1, 2, Outcome.LOST),
        (0, 3, Outcome.ANSWERED),
        (1, 3, Outcome.ANSWERED),
    ]


async def test_planted_faults_befall_what_they_are_planted_for(server: ModelServer) -> None:
    server.plant(Overloaded(), about="Plant", turn=0)
    server.plant(ServerError(), about="Plant", times=2)
    errors = []
    async with agent("talking") as talking:
        await talking.run("Something else.")
        for task in ("Plant one.", "Plant one.", "Plant two.", "Plant one.", "Plant one."):
            try:
                await talking.run(task)
            except ModelAPIError as error:
                errors.append((task, type(error).__name__))

    assert errors == [
        ("Plant one.", "ModelOverloadedError"),
        ("Plant one.", "ModelServerError"),
        ("Plant two.", "ModelOverloadedError"),
        ("Plant one.", "ModelServerError"),
    ]


async def test_a_stream_breaks_in_the_middle(server: ModelServer) -> None:
    server.plant(BreakStream(after_chunks=3), about="Break off.")
    events: list[AgentStreamEvent] = []
    async with agent("talking") as talking:
        with pytest.raises(ModelConnectionError) as broken:
            await stream(talking, "Break off.", events)
        again = await stream(talking, "Break off.", [])

    assert broken.value.phase == "read"
    assert texts(events) == ["One two thre", "e four five "]
    assert again.output.endswith("nine ten.")
    assert [each.outcome for each in server.requests("Break off.")] == [Outcome.LOST, Outcome.ANSWERED]


async def test_a_whole_reply_breaks_in_the_middle(server: ModelServer) -> None:
    server.plant(BreakStream(), about="Break the whole.")
    async with agent("talking") as talking:
        with pytest.raises(ModelConnectionError):
            await talking.run("Break the whole.")

    assert [each.outcome for each in server.requests("Break the whole.")] == [Outcome.LOST]


async def test_a_stream_hangs_in_the_middle_until_it_is_released(server: ModelServer) -> None:
    server.plant(Hang("middle", after_chunks=2), about="Hang in the middle.")
    events: list[AgentStreamEvent] = []
    async with agent("talking") as talking:
        running = asyncio.create_task(stream(talking, "Hang in the middle.", events))
        await asyncio.to_thread(server.wait_held, "middle")
        held = server.requests("Hang in the middle.")
        server.release("middle")
        await running

    assert [each.outcome for each in held] == [Outcome.OPEN]
    assert "".join(texts(events)).endswith("nine ten.")


async def test_a_stream_breaks_when_it_is_told_to(server: ModelServer) -> None:
    server.plant(BreakStream(after_chunks=2, gate="enough"), about="Break when told.")
    events: list[AgentStreamEvent] = []
    async with agent("talking") as talking:
        running = asyncio.create_task(stream(talking, "Break when told.", events))
        await asyncio.to_thread(server.wait_held, "enough")
        held = server.requests("Break when told.")
        server.release("enough")
        with pytest.raises(ModelConnectionError):
            await running

    assert [each.outcome for each in held] == [Outcome.OPEN]
    assert texts(events) == ["One two thre"]
    assert [each.outcome for each in server.requests("Break when told.")] == [Outcome.LOST]


async def test_requests_hang_until_their_client_goes(server: ModelServer) -> None:
    server.plant(Hang("silence"), about="Client goes")
    async with agent("talking") as talking:
        hanging = [asyncio.create_task(talking.run(f"Client goes {number}.")) for number in range(2)]
        await asyncio.to_thread(server.wait_held, "silence", 2)
        for each in hanging:
            each.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await asyncio.to_thread(server.wait_settled)
        again = await talking.run("Client goes 0.")

    assert again.output.endswith("nine ten.")
    outcomes = [each.outcome for each in server.requests("Client goes")]
    assert outcomes == [Outcome.LOST, Outcome.LOST, Outcome.ANSWERED]


async def test_a_client_that_waits_too_long_says_so(server: ModelServer) -> None:
    server.plant(Hang("never"), about="Time out.")
    async with agent("talking") as talking:
        with pytest.raises(ModelTimeoutError):
            await talking.run("Time out.", model_settings=ModelSettings(timeout=0.2, max_retries=0))


async def test_the_client_sends_a_request_again_by_itself_where_it_may(server: ModelServer) -> None:
    server.plant(TooManyRequests(retry_after=0.01), about="Try again.")
    async with agent("talking") as talking:
        result = await talking.run("Try again.", model_settings=ModelSettings(max_retries=1))

    assert result.usage.requests == 1
    assert [each.status for each in server.requests("Try again.")] == [429, 200]

"""Responses that people watch while models write them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from orchestrator_services.models import Asked, Budget, Says, scripted_model
from orchestrator_services.models.budget import Wallet
from orchestrator_services.models.candidates import Candidate
from orchestrator_services.models.metering import Meter, MeteredModel
from orchestrator_services.models.scripted import Script
from orchestrator_services.models.scripts import ScriptedModel
from orchestrator_services.models.streams import can_stream
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError, ModelConnectionError, ModelHTTPError
from pydantic_ai.messages import (
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
)
from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage

from orchestrator.messages import events
from orchestrator.messages.types import ModelPolicy
from orchestrator.sdk import Model, PermanentError, TransientError
from tests.support.model_server import BreakStream, Hang, ModelServer
from tests.unit.models.support import NUMBER, Talk, until

WORDS = "There are three apples, and no pears at all."


def shown(talk: Talk) -> list[events.ModelProgressed]:
    return [one for one in talk.world.emitted if isinstance(one, events.ModelProgressed)]


async def ended(talk: Talk, parts: int = 1) -> list[events.ModelProgressed]:
    """What was shown, once so many parts are complete."""
    await until(lambda: sum(one.ended for one in shown(talk)) >= parts)
    return shown(talk)


def talk_with(model: Any, name: str = "model", **policy: Any) -> Talk:
    talk = Talk()
    talk.world.plugins.add(Model(name, lambda: model))
    talk.policy = ModelPolicy(name=name, **policy)
    return talk


async def test_what_a_model_writes_is_shown_in_its_order() -> None:
    talk = Talk(WORDS)

    await talk.turn("how many?")

    deltas = await ended(talk)
    assert "".join(one.text for one in deltas) == WORDS
    assert [one.position for one in deltas] == [
        sum(len(before.text) for before in deltas[:index]) for index in range(len(deltas))
    ]
    assert {(one.request, one.part, one.tool) for one in deltas} == {(1, 0, "")}
    assert {one.call.call_id for one in deltas} == {"call-1"}


async def test_arguments_are_shown_with_the_tool_that_they_are_for() -> None:
    talk = Talk(Says(text="I look.", calls=[("stock.level", {"item": "apple"}), ("price", {})]))

    await talk.turn("how many?")

    written: dict[tuple[int, str], str] = {}
    for one in await ended(talk, parts=3):
        written[one.part, one.tool] = written.get((one.part, one.tool), "") + one.text
    assert written == {(0, ""): "I look.", (1, "stock.level"): '{"item":"apple"}', (2, "price"): "{}"}


async def test_an_answer_that_fits_a_schema_is_no_tools() -> None:
    talk = Talk(Says(output={"n": 2}))

    await talk.turn("count", output_schema=NUMBER)

    assert {(one.tool, one.text) for one in await ended(talk) if one.text} == {("", '{"n":2}')}


async def test_requests_of_a_turn_are_told_apart() -> None:
    talk = Talk(Says(output={"n": 0}), Says(output={"n": 2}))

    await talk.turn("count", output_schema=NUMBER)

    deltas = await ended(talk, parts=2)
    assert [(one.request, one.position) for one in deltas if one.text] == [(1, 0), (2, 0)]


async def test_the_time_to_the_first_part_is_counted_and_traced() -> None:
    talk = Talk()

    @scripted_model("slow")
    async def slow(asked: Asked) -> str:
        talk.world.time += 1_500_000
        return WORDS

    talk.world.plugins.add(slow)
    talk.policy = ModelPolicy(name="slow")

    await talk.turn("how many?")

    (done,) = talk.done
    assert done.first_token_at - done.started_at == 1_500_000
    metrics = talk.world.metrics
    assert metrics.of("agents_model_client_streams", model="slow") == 1
    assert metrics.of("agents_model_client_first_token_seconds", model="slow") == 1.5


@pytest.mark.usefixtures("whole")
async def test_streaming_can_be_switched_off() -> None:
    talk = Talk(WORDS)

    reply = await talk.turn("how many?")

    assert reply.output == WORDS
    assert shown(talk) == []
    assert talk.done[0].first_token_at == 0
    assert talk.world.metrics.of("agents_model_client_streams", model="script") == 0


async def breaks_off(*_: Any) -> AsyncIterator[str]:
    yield "There are"
    raise ModelConnectionError("model", "reset", phase="read")


async def test_a_stream_that_breaks_is_a_request_that_failed() -> None:
    talk = talk_with(FunctionModel(stream_function=breaks_off))

    with pytest.raises(TransientError) as raised:
        await talk.turn("how many?")

    assert raised.value.code == "model_unavailable"
    assert (talk.done[0].error, talk.used.model_requests) == ("ModelConnectionError", 0)
    assert talk.done[0].first_token_at > 0
    await until(lambda: shown(talk))
    assert [(one.text, one.ended) for one in shown(talk)] == [("There are", False)]


@pytest.mark.parametrize(
    "error",
    [ModelConnectionError("model", "reset", phase="read"), ModelAPIError("model", "not JSON")],
    ids=["broken", "garbled"],
)
async def test_what_a_broken_stream_may_have_cost_stays_reserved(error: Exception) -> None:
    """A fallback gets what is left if the broken request is on the bill."""

    async def breaks(*_: Any) -> AsyncIterator[str]:
        yield "There are"
        raise error

    @scripted_model("second")
    def second(asked: Asked) -> str:
        return "from the second"

    talk = talk_with(FunctionModel(stream_function=breaks), fallback=("second",))
    talk.world.plugins.add(second)

    with pytest.raises(PermanentError) as raised:
        await talk.turn("count", budget=Budget(tokens=3_000))

    assert raised.value.code == "limit_reached"
    assert [one.model for one in talk.done] == ["model"]


async def test_a_fallback_answers_after_a_broken_stream() -> None:
    @scripted_model("second")
    def second(asked: Asked) -> str:
        return "from the second"

    talk = talk_with(FunctionModel(stream_function=breaks_off), fallback=("second",))
    talk.world.plugins.add(second)

    reply = await talk.turn("count")

    assert reply.output == "from the second"
    texts = {one.request: one.text for one in await ended(talk)}
    assert texts[1] == "There are"


async def test_a_request_that_took_too_long_stays_reserved() -> None:
    talk = Talk()

    @scripted_model("slow")
    async def slow(asked: Asked) -> str:
        await asyncio.Event().wait()
        return "never"

    @scripted_model("second")
    def second(asked: Asked) -> str:
        return "from the second"

    talk.world.plugins.add(slow)
    talk.world.plugins.add(second)
    talk.policy = ModelPolicy(name="slow", fallback=("second",), settings='{"request_timeout": 0.05}')

    with pytest.raises(PermanentError) as raised:
        await talk.turn("count", budget=Budget(tokens=3_000))

    assert raised.value.code == "limit_reached"


async def test_an_end_without_its_response_is_a_broken_stream() -> None:
    class Unfinished(CompletedStreamedResponse):
        def get(self) -> ModelResponse:
            response = super().get()
            response.state = "incomplete"
            return response

    talk = talk_with(Other(Unfinished))

    with pytest.raises(TransientError, match="the connection to the provider failed") as raised:
        await talk.turn("count")

    assert raised.value.code == "model_unavailable"


class Other(TestModel):
    """A model whose streams are of a kind of their own."""

    def __init__(self, kind: type[CompletedStreamedResponse], usage: RequestUsage | None = None) -> None:
        super().__init__()
        self._kind = kind
        self._reported = usage or RequestUsage(input_tokens=10, output_tokens=2)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: Any,  # noqa: ARG002 - the library passes it
        model_settings: Any,  # noqa: ARG002 - the library passes it
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,  # noqa: ARG002 - the library passes it
    ) -> AsyncIterator[CompletedStreamedResponse]:
        response = ModelResponse(parts=[TextPart("words")], usage=self._reported)
        yield self._kind(response, model_request_parameters=model_request_parameters, replay_events=True)


async def test_a_stream_without_usage_counts_as_its_bound() -> None:
    talk = talk_with(Other(CompletedStreamedResponse, RequestUsage(unmeasured_requests=1)))

    await talk.turn("count")

    assert talk.used.tokens_input > 768
    assert talk.used.tokens_output >= 2


async def test_a_model_that_its_provider_does_not_stream_is_asked_for_the_whole() -> None:
    asked: list[str] = []

    async def refused(*_: Any) -> AsyncIterator[str]:
        asked.append("stream")
        if asked:
            body = {"error": {"message": "Unsupported value", "param": "stream"}}
            raise ModelHTTPError(400, "model", body)
        yield ""

    def answers(*_: Any) -> ModelResponse:
        asked.append("whole")
        return ModelResponse(parts=[TextPart(WORDS)])

    talk = talk_with(FunctionModel(answers, stream_function=refused), "not-streamed")

    first = await talk.turn("count")
    second = await talk.turn("again")

    assert (first.output, second.output) == (WORDS, WORDS)
    assert asked == ["stream", "whole", "whole"]
    assert [one.first_token_at for one in talk.done] == [0, 0]


class OnlyWhole(WrapperModel):
    async def request(self, *arguments: Any) -> ModelResponse:
        return await super().request(*arguments)


class Passes(WrapperModel):
    """Leaves requests as they are."""


def script(asked: Asked) -> str:
    return WORDS


def scripted(reply: Script = script) -> ScriptedModel:
    from orchestrator_services.models.prices import FREE

    return ScriptedModel("script", reply, FREE)


@pytest.mark.parametrize(
    ("model", "streams"),
    [
        (scripted(), True),
        (Passes(scripted()), True),
        (OnlyWhole(scripted()), False),
        (Passes(OnlyWhole(scripted())), False),
        (TestModel(), True),
        (FunctionModel(lambda *_: ModelResponse(parts=[TextPart("words")])), False),
        (FunctionModel(stream_function=breaks_off), True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_model_that_cannot_stream_is_known_by_its_class(model: Any, streams: bool) -> None:
    assert can_stream(model) is streams


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_a_request_does_not_depend_on_what_is_shown(hangs: bool) -> None:
    talk, stopped = Talk(WORDS, "again"), asyncio.Event()

    async def emit(_message: Any) -> None:
        await stopped.wait()
        raise ConnectionError("Kafka is gone")

    talk.world.emit_instead = emit
    if not hangs:
        stopped.set()

    assert (await talk.turn("how many?")).output == WORDS
    assert (await talk.turn("and now?")).output == "again"
    stopped.set()


async def test_an_agent_with_a_handler_of_its_own_sees_the_response_and_pays_once() -> None:
    talk = Talk()
    asked = Candidate("script", scripted(), None)
    model = MeteredModel(asked, Meter(Wallet(None, None), talk.context), 1_000)
    seen: list[str] = []

    async def handler(_context: Any, stream: AsyncIterable[Any]) -> None:
        async for one in stream:
            if isinstance(one, PartStartEvent) and isinstance(one.part, TextPart):
                seen.append(one.part.content)
            assert not isinstance(one, PartDeltaEvent)

    result = await Agent(model).run("how many?", event_stream_handler=handler)

    assert result.output == WORDS
    assert seen == [WORDS]
    assert talk.used.model_requests == 1


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    with ModelServer("tests.unit.models.server_scripts") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def test_the_first_words_of_a_provider_are_shown_before_its_last(server: ModelServer) -> None:
    server.plant(Hang("middle", after_chunks=3), about="Repeat")
    talk = Talk(tools=())
    talk.policy = ModelPolicy(name="openai-chat:echo")
    text = "Repeat all of these words, please."

    turn = asyncio.ensure_future(talk.turn(text))
    await until(lambda: shown(talk))
    assert not turn.done()
    assert text.startswith(shown(talk)[0].text)
    await asyncio.to_thread(server.release, "middle")
    reply = await turn

    assert reply.output == text
    assert "".join(one.text for one in await ended(talk)) == text
    charged = server.charged(text)
    assert (talk.used.tokens_input, talk.used.tokens_output) == (
        charged.prompt_tokens,
        charged.completion_tokens,
    )
    assert [one.streamed for one in server.requests(text)] == [True]


async def test_a_stream_of_a_provider_that_breaks_in_the_middle_may_be_asked_again(
    server: ModelServer,
) -> None:
    server.plant(BreakStream(after_chunks=3), about="Repeat")
    talk = Talk(tools=())
    talk.policy = ModelPolicy(name="openai-chat:echo")
    text = "Repeat all of these words, please."

    with pytest.raises(TransientError) as raised:
        await talk.turn(text)
    reply = await talk.turn(text)

    assert raised.value.code == "model_unavailable"
    assert reply.output == text
    assert talk.used.model_requests == 1

"""What servers of models may say and send, through the real client: anybody may be that server."""

import asyncio
import encodings
import gzip
import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from orchestrator_services.models import TurnReply, TurnRequest
from orchestrator_services.models.client import PydanticModelClient
from orchestrator_services.models.responses import readable, with_distinct_calls
from orchestrator_services.models.settings import settings
from orchestrator_services.models.throttle import MOST_PARTS
from orchestrator_services.models.transfer import RefusedResponseError, limit_responses
from orchestrator_services.models.usage import report_uncounted
from pydantic_ai.messages import (
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from orchestrator.messages.types import ModelPolicy, Usage
from orchestrator.messages.usage import is_sendable
from orchestrator.sdk import Context, HandlerError, TransientError
from tests.support.hostile_model_server import (
    DONE,
    USAGE,
    HostileServer,
    chunk,
    hostile_server,
    response,
    stream,
    whole,
)
from tests.unit.models.support import STOCK, context_in, until
from tests.unit.services.support import World

pytestmark = [
    # Both are what the libraries below say about such a server.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Failed to extract usage"),
]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostileServer]:
    async with hostile_server() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


async def ask(model: str, context: Context) -> TurnReply:
    request = TurnRequest(model=ModelPolicy(name=f"openai-chat:{model}"), prompt="Go.", tools=(STOCK,))
    return await PydanticModelClient().turn(request, context)


def said(usage: Any) -> bytes:
    return stream(chunk({"content": "fine"}), chunk({}, "stop", usage), DONE)


async def used(server: HostileServer, reply: bytes) -> Usage:
    server.replies["m"] = reply
    context = context_in(World())
    assert (await ask("m", context)).text == "fine"
    return context.used


@pytest.mark.parametrize(
    "tokens", [1.5, 2**70, 2**53, -5, float("nan"), float("inf")], ids=lambda tokens: str(tokens)[:9]
)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
async def test_usage_that_is_no_count_is_as_if_it_had_not_been_said(
    server: HostileServer, name: str, tokens: float
) -> None:
    unsaid = await used(server, said(None))

    counted = await used(server, said({**USAGE, name: tokens}))

    assert is_sendable(counted)
    assert counted.tokens_input == unsaid.tokens_input > 0
    assert counted.tokens_output > USAGE["completion_tokens"]


async def test_usage_that_is_a_text_is_as_if_it_had_not_been_said(server: HostileServer) -> None:
    counted = await used(server, said({**USAGE, "prompt_tokens": "many", "completion_tokens": "few"}))

    assert counted.tokens_input == (await used(server, said(None))).tokens_input


@pytest.mark.parametrize("usage", [[1], "free", {"prompt_tokens": {}}], ids=str)
async def test_usage_of_another_form_is_a_response_that_cannot_be_used_or_unsaid(
    server: HostileServer, usage: Any
) -> None:
    server.replies["m"] = said(usage)
    context = context_in(World())

    with suppress(TransientError):
        await ask("m", context)

    assert is_sendable(context.used)
    assert context.used.tokens_input + context.used.tokens_unsettled > 0


async def test_counts_written_as_floats_are_counts(server: HostileServer) -> None:
    counted = await used(server, said({**USAGE, "prompt_tokens": 12.0}))

    assert counted.tokens_input == 12
    assert type(counted.tokens_input) is int


async def test_usage_that_is_no_count_is_logged_once(
    server: HostileServer, caplog: pytest.LogCaptureFixture
) -> None:
    report_uncounted.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await used(server, said({**USAGE, "prompt_tokens": 1.5}))

    assert [one.getMessage() for one in caplog.records] == [
        "the provider of openai-chat:m reports a usage that is no count of tokens, as 1.5 or -5 is: the most that "
        "its requests may have used is counted instead"
    ]


async def test_usage_that_is_no_count_is_not_kept_with_the_response(server: HostileServer) -> None:
    server.replies["m"] = said({**USAGE, "prompt_tokens": 2**70, "completion_tokens_details": {"x": 2**80}})

    reply = await ask("m", context_in(World()))

    assert str(2**70) not in json.dumps(list(reply.messages))
    assert str(2**80) not in json.dumps(list(reply.messages))


@pytest.mark.parametrize(
    "delta",
    [
        {"role": "assistant", "content": "The patient must NOT"},
        {
            "tool_calls": [
                {"index": 0, "id": "a", "function": {"name": "stock.level", "arguments": '{"item": "a"}'}}
            ]
        },
    ],
    ids=["text", "call"],
)
async def test_a_stream_that_ends_without_a_finish_reason_broke_off(
    server: HostileServer, delta: dict[str, Any]
) -> None:
    server.replies["m"] = stream(chunk(delta))
    context = context_in(World())

    with pytest.raises(TransientError, match="ORCHESTRATOR_MODELS_STREAM=false") as raised:
        await ask("m", context)

    assert raised.value.code == "model_unavailable"
    assert context.used.requests_unsettled == 1


async def test_a_reason_that_nobody_knows_ends_a_stream(server: HostileServer) -> None:
    server.replies["m"] = stream(chunk({"content": "fine"}), chunk({}, "guardrail", USAGE), DONE)

    assert (await ask("m", context_in(World()))).text == "fine"


@pytest.mark.parametrize(
    "body",
    [b"data: null\n\n", b"data: [1,2]\n\n", b'data: {"choices":null}\n\n', b'data: {"choices":[null]}\n\n'],
    ids=bytes.decode,
)
async def test_events_of_another_form_are_a_response_that_cannot_be_used(
    server: HostileServer, body: bytes
) -> None:
    server.replies["m"] = stream(body, DONE)

    with pytest.raises(TransientError) as raised:
        await ask("m", context_in(World()))

    assert raised.value.code in ("response_unusable", "model_unavailable")


async def test_of_many_calls_some_are_shown(server: HostileServer) -> None:
    function = {"name": "stock.level", "arguments": '{"item": "a"}'}
    calls = [
        chunk({"tool_calls": [{"index": index, "id": f"c{index}", "function": function}]})
        for index in range(500)
    ]
    server.replies["m"] = stream(*calls, chunk({}, "tool_calls", USAGE), DONE)
    world = World()

    reply = await ask("m", context_in(world))

    assert len(reply.calls) == 500
    await until(lambda: world.emitted)
    assert len(world.emitted) <= 2 * MOST_PARTS


@pytest.mark.usefixtures("whole")
async def test_a_response_with_thousands_of_calls_is_refused_and_counted(server: HostileServer) -> None:
    function = {"name": "stock.level", "arguments": '{"item": "a"}'}
    call = {"id": "x", "type": "function", "function": function}
    server.replies["m"] = whole({"role": "assistant", "content": None, "tool_calls": [call] * 5000})
    context = context_in(World())

    with pytest.raises(TransientError, match="the response has 5,000 calls, of at most 500") as raised:
        await ask("m", context)

    assert raised.value.code == "response_unusable"
    assert context.used.tokens_output == USAGE["completion_tokens"]
    assert len(server.requests) == 1


async def test_a_provider_that_asks_for_a_day_is_asked_again_after_a_minute(server: HostileServer) -> None:
    refusal = response(b'{"error": {"message": "slow down"}}', 429)
    server.replies["paced"] = refusal.replace(b"Connection:", b"Retry-After: 1000000000\r\nConnection:", 1)
    world = World()
    with pytest.raises(TransientError) as first:
        await ask("paced", context_in(world))
    server.replies["paced"] = said(USAGE)

    world.time += 59_000_000
    with pytest.raises(TransientError, match="leave no room for 1 s"):
        await ask("paced", context_in(world))
    world.time += 2_000_000
    reply = await ask("paced", context_in(world))

    assert first.value.retry_after_ms == 86_400_000
    assert reply.text == "fine"


def test_as_many_steps_as_calls_make_their_ids_distinct() -> None:
    count = 20_000
    calls = [ToolCallPart("stock.level", tool_call_id="x") for _ in range(count)]

    found = [one.tool_call_id for one in with_distinct_calls(ModelResponse(parts=calls)).tool_calls]

    assert found[:3] == ["x", "x-2", "x-3"]
    assert len(set(found)) == count


def test_ids_that_look_like_numbered_ones_stay_distinct() -> None:
    ids = ["x-2", "x", "x", "x", "", "call", "x-3"]
    response = ModelResponse(parts=[ToolCallPart("t", tool_call_id=one) for one in ids])

    found = [one.tool_call_id for one in with_distinct_calls(response).tool_calls]

    assert found == ["x-2", "x", "x-3", "x-4", "call", "call-2", "x-3-2"]


def packed(size: int, layers: int) -> bytes:
    """So many zeros, packed again and again."""
    body = bytes(size)
    for _ in range(layers):
        body = gzip.compress(body)
    return body


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bound of 256 KiB for streams, 64 KiB for the rest."""
    monkeypatch.setenv("ORCHESTRATOR_MODELS_MAX_RESPONSE_BYTES", str(1 << 18))
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "gzip, gzip, gzip", "br", "x" * 1000])
async def test_a_packed_response_is_not_unpacked(server: HostileServer, encoding: str, status: int) -> None:
    body = packed(1 << 20, encoding.count("gzip"))
    server.replies["m"] = response(body, status, encoding)

    with pytest.raises(
        TransientError, match=f"127.0.0.1 sent a response packed with '{encoding[:20]}"
    ) as raised:
        await ask("m", context_in(World()))

    assert raised.value.code == "response_unusable"
    assert len(str(raised.value)) < 400
    assert b"accept-encoding: identity\r\n" in server.heads[0].lower()


async def test_an_error_is_not_read_with_the_codec_that_the_server_names(server: HostileServer) -> None:
    name = f"nothing_{uuid.uuid4().hex}"
    server.replies["m"] = response(b"no", 400, content_type=f"text/plain; charset={name}")

    with pytest.raises(HandlerError):
        await ask("m", context_in(World()))

    # Python has not been asked for it: some of its codecs, such as punycode, take hours for a megabyte.
    assert name not in encodings._cache


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (whole({"role": "assistant", "content": "A" * (1 << 17)}), "response of more than 65,536 bytes"),
        (response(b"A" * (1 << 17), 500), "response of more than 65,536 bytes"),
        (response(b'{"error": {"message": "' + b"A" * (1 << 17), 400), "response of more than 65,536 bytes"),
        (stream(*[chunk({"content": "A" * 1000})] * 1000), "response of more than 262,144 bytes"),
        (stream(chunk({"content": "A" * (1 << 17)})), "line of more than 65,536 bytes"),
        (stream(b"\n" * (1 << 19)), "response of more than 262,144 bytes"),
    ],
    ids=["whole", "failure", "refusal", "stream", "line", "empty lines"],
)
async def test_a_response_is_read_up_to_its_bound(server: HostileServer, reply: bytes, problem: str) -> None:
    server.replies["m"] = reply
    context = context_in(World())

    with pytest.raises(TransientError, match=problem) as raised:
        await ask("m", context)

    assert raised.value.code == "response_unusable"
    assert "ORCHESTRATOR_MODELS_MAX_RESPONSE_BYTES" in str(raised.value)
    assert context.used.requests_unsettled == 1


@pytest.mark.usefixtures("small")
async def test_a_fallback_answers_in_the_place_of_a_response_that_is_too_large(server: HostileServer) -> None:
    server.replies["m"] = stream(*[chunk({"content": "A" * 1000})] * 1000)
    server.replies["other"] = said(USAGE)
    policy = ModelPolicy(name="openai-chat:m", fallback=("openai-chat:other",))

    reply = await PydanticModelClient().turn(TurnRequest(model=policy, prompt="Go."), context_in(World()))

    assert reply.text == "fine"


@pytest.mark.usefixtures("small")
def test_the_bound_holds_on_the_next_event_loop_too() -> None:
    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url="http://127.0.0.1:1/v1", api_key="test"))

    async def asked() -> None:
        async with hostile_server(m=response(packed(1000, 1), 200, "gzip")) as server:
            limit_responses(model)
            model.client.base_url = server.environment["OPENAI_BASE_URL"]
            async with model:
                with pytest.raises(RefusedResponseError, match="packed"):
                    await model.request(
                        [ModelRequest.user_text_prompt("Go.")], None, ModelRequestParameters()
                    )

    for _ in range(2):
        asyncio.run(asked())


def test_half_a_character_anywhere_in_a_response_is_mended() -> None:
    half = "a\ud800"
    parts: list[ModelResponsePart] = [
        ToolCallPart("stock", {half: [half]}, tool_call_id=half, id=half, provider_details={half: half}),
        ThinkingPart(half, id=half, signature=half, provider_name=half),
        TextPart(half, id=half),
    ]
    response = ModelResponse(
        parts,
        model_name=half,
        provider_name=half,
        provider_response_id=half,
        provider_details={half: (half,)},
    )

    mended = readable(response, any_name=True)

    content = ModelMessagesTypeAdapter.dump_json([mended]).decode()
    assert content.count("a\ufffd") == 17
    assert response.model_name == half

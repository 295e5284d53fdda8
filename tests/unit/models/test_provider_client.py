"""Turns through the real client of OpenAI's protocol, with a server as a process of its own."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from orchestrator_services.models import Budget, History, ToolAnswer, TurnReply, TurnRequest
from orchestrator_services.models.client import PydanticModelClient
from orchestrator_services.models.errors import report_refused
from orchestrator_services.models.settings import settings

from orchestrator.messages.types import ModelPolicy
from orchestrator.sdk import Context, HandlerError, PermanentError, TransientError
from tests.support.model_server import ModelServer
from tests.unit.models.support import NUMBER, STOCK, context_in
from tests.unit.services.support import World

pytestmark = pytest.mark.usefixtures("each_way")


@pytest.fixture(scope="module")
def running(each_way: None) -> Iterator[ModelServer]:
    with ModelServer("tests.unit.models.server_scripts") as server:
        yield server


@pytest.fixture
def server(running: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running


class Session:
    def __init__(self, model: str, fallback: tuple[str, ...] = (), **policy: Any) -> None:
        self.policy = ModelPolicy(
            name=f"openai-chat:{model}", fallback=tuple(f"openai-chat:{one}" for one in fallback), **policy
        )
        self.context: Context = context_in(World())
        self.history: History | None = None

    async def turn(self, prompt: str = "", **request: Any) -> TurnReply:
        asked = TurnRequest(model=self.policy, prompt=prompt, tools=(STOCK,), history=self.history, **request)
        reply = await PydanticModelClient().turn(asked, self.context)
        kept = [] if self.history is None else list(self.history.decoded)
        self.history = History((*kept, *History.of(json.loads(json.dumps(list(reply.messages)))).decoded))
        return reply


async def test_a_session_with_mistakes_comes_to_its_output(server: ModelServer) -> None:
    session = Session("gpt-5-mini")

    first = await session.turn("Count the apples.", instructions="Be brief.", output_schema=NUMBER)
    assert [(call.tool, call.arguments) for call in first.calls] == [("stock.level", {"item": "apple"})]
    assert first.text == "I look."
    answers = {first.calls[0].call_id: ToolAnswer({"pieces": 3})}
    second = await session.turn(answers=answers, instructions="Be brief.", output_schema=NUMBER)

    assert second.output == {"n": 6}
    last = server.last("Count the apples.")
    assert last.system == "Be brief."
    assert last.all_results[0].json() == {"pieces": 3}
    assert len({result.id for result in last.all_results}) == len(last.all_results)
    charged = server.charged("Count the apples.")
    used = session.context.used
    assert (used.model_requests, used.tokens_input, used.tokens_output, used.tokens_cached) == (
        4,
        charged.prompt_tokens,
        charged.completion_tokens,
        charged.cached_tokens,
    )
    assert used.cost_micro_usd > 0


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("limited", TransientError, "rate_limited"),
        ("overloaded", TransientError, "overloaded"),
        ("failing", TransientError, "model_unavailable"),
        ("broken", TransientError, "model_unavailable"),
        ("full", PermanentError, "context_too_long"),
        ("locked", PermanentError, "bad_credentials"),
        ("broke", PermanentError, "quota_exceeded"),
        ("refusing", PermanentError, "content_refused"),
    ],
)
async def test_a_fault_is_a_failure_of_its_kind_and_is_not_retried(
    server: ModelServer, model: str, kind: type[HandlerError], code: str
) -> None:
    with pytest.raises(kind) as raised:
        await Session(model).turn(f"Fail as {model}.")

    assert raised.value.code == code
    assert raised.value.retry_after_ms == (1500 if model == "limited" else None)
    assert len(server.requests(f"Fail as {model}.")) == 1


async def test_refused_credentials_are_loud(server: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    report_refused.cache_clear()
    with caplog.at_level(logging.ERROR), pytest.raises(PermanentError, match="set OPENAI_API_KEY"):
        await Session("locked").turn("Open.")

    assert [one.getMessage() for one in caplog.records] == [
        "the provider of openai-chat:locked refused the credentials; set OPENAI_API_KEY"
    ]


async def test_a_server_that_is_gone_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer("tests.unit.models.server_scripts") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        session = Session("echo")
        await session.turn("Hello.")
        server.stop()
        with pytest.raises(TransientError) as raised:
            await session.turn("Still there?")
        server.start()
        reply = await session.turn("And now?")

    assert raised.value.code == "model_unavailable"
    assert reply.output == "And now?"


async def test_a_model_that_does_not_respond_in_time_is_unavailable(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.model_server import Hang

    server.plant(Hang("never"), about="Take your time.")
    session = Session("echo", settings='{"request_timeout": 0.2}')

    with pytest.raises(TransientError, match="did not respond in time") as raised:
        await session.turn("Take your time.")

    assert raised.value.code == "model_timeout"


async def test_a_fallback_answers(server: ModelServer) -> None:
    session = Session("overloaded", fallback=("echo",))

    assert (await session.turn("Fall back.")).output == "Fall back."
    assert [one.model for one in server.requests("Fall back.")] == ["overloaded", "echo"]


async def test_an_answer_is_as_short_as_the_cost_limit_wants(server: ModelServer) -> None:
    """gpt-5 takes 10 dollars for a million tokens of output: 100 of them are 1,000 micro dollars."""
    session = Session("gpt-5", settings='{"max_tokens": 4096}')
    request = {"budget": Budget(cost_micro_usd=2_500)}

    reply = await session.turn("Count to ten.", **request)

    assert session.context.used.cost_micro_usd <= 2_500
    most = server.last("Count to ten.").most_tokens
    assert most is not None
    assert most < 200
    assert reply.output.startswith("One")


async def test_output_that_is_no_object_is_asked_for_in_one(server: ModelServer) -> None:
    request = {"output_schema": {"type": "array", "items": {"type": "integer"}}}
    session = Session("lists")

    with pytest.raises(PermanentError) as raised:
        await session.turn("List.", **request)

    # The script answers with a bare list, which the protocol's output cannot be.
    assert raised.value.code == "output_does_not_fit"
    assert session.context.used.model_requests == settings().max_requests

"""Which models are asked: plug-ins, providers', fallbacks; their settings and prices."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator_services.models import Budget, Says, TurnRequest, scripted_model
from orchestrator_services.models.candidates import candidate
from orchestrator_services.models.client import PydanticModelClient, Run
from orchestrator_services.models.prices import TablePrice, Tokens, configured_price
from orchestrator_services.models.settings import ModelsSettings
from pydantic_ai.exceptions import ModelConnectionError
from pydantic_ai.messages import ModelResponse

from orchestrator.messages.types import ModelPolicy, ToolDefinition, Usage
from orchestrator.sdk import ConfigurationError, Model, PermanentError, TransientError
from tests.unit.models.support import PRICE, Talk, context_in
from tests.unit.services.support import World

OPENAI = "openai:gpt-5"
MILLION = 1_000_000


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")


async def found(name: str, *plugins: Any, **settings: Any) -> Any:
    return candidate(name, context_in(World(*plugins)), ModelsSettings(**settings))


async def test_a_plug_in_has_the_name_that_agents_use() -> None:
    @scripted_model("clerk")
    def clerk(asked: Any) -> str:
        return "yes"

    first, second = await found("clerk", clerk), await found("clerk", clerk)

    assert first.name == "clerk"
    assert first.model is second.model


async def test_a_plug_in_that_builds_something_else_is_named() -> None:
    with pytest.raises(PermanentError, match="the plug-in of the model clerk built str"):
        await found("clerk", Model("clerk", lambda: "gpt"))


@pytest.mark.parametrize("name", ["clerk", "nobody:gpt-5"])
async def test_an_unknown_model_is_named(name: str) -> None:
    with pytest.raises(PermanentError, match=f"Unknown model: {name}.*write PROVIDER:MODEL") as raised:
        await found(name)

    assert raised.value.code == "unknown_model"


async def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(PermanentError, match="OPENAI_API_KEY") as raised:
        await found(OPENAI)

    assert raised.value.code == "bad_credentials"


async def test_a_provider_that_is_not_installed_is_named() -> None:
    with pytest.raises(PermanentError, match="anthropic") as raised:
        await found("anthropic:claude-sonnet-4-5")

    assert raised.value.code == "provider_not_installed"


@pytest.mark.usefixtures("key")
async def test_a_price_comes_from_the_table_unless_settings_have_one() -> None:
    tokens = Tokens(input=MILLION, output=MILLION)

    assert (await found(OPENAI)).price.of(tokens) == 11_250_000
    assert (await found(OPENAI, prices=(f"{OPENAI}=1/2",))).price.of(tokens) == 3_000_000
    assert (await found("openai:gpt-unheard-of")).price is None


@pytest.mark.usefixtures("key")
async def test_without_a_price_a_cost_limit_refuses_the_model() -> None:
    request = TurnRequest(
        model=ModelPolicy(name="openai:gpt-unheard-of"), prompt="hi", budget=Budget(cost_micro_usd=MILLION)
    )

    with pytest.raises(PermanentError, match="ORCHESTRATOR_MODELS_PRICES=openai:gpt-unheard-of=") as raised:
        await PydanticModelClient().turn(request, context_in(World()))

    assert raised.value.code == "no_price"


@pytest.mark.parametrize(
    "entry", ["gpt", "gpt=1", "gpt=a/b", "=1/2", "gpt=-1/2", "gpt=NaN/1", "gpt=1/2/3/4/5"]
)
def test_a_price_that_cannot_be_read_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="ORCHESTRATOR_MODELS_PRICES"):
        ModelsSettings.read({"ORCHESTRATOR_MODELS_PRICES": f"a=1/2, {entry}"})


def test_cached_tokens_may_have_a_price_of_their_own() -> None:
    price = configured_price("gpt", ("gpt=10/20/1",))

    assert price is not None
    assert price.of(Tokens(input=100, cache_read=90, output=1)) == 100 + 90 + 20
    assert price.most(100, 1) == 100 * 12.5 + 20
    assert configured_price("other", ("gpt=10/20/1",)) is None


@pytest.mark.parametrize(
    ("entry", "written"), [("gpt=10/20", 12.5), ("gpt=10/20/1", 12.5), ("gpt=10/20/1/40", 40)]
)
def test_tokens_that_a_provider_writes_to_its_cache_may_cost_more(entry: str, written: float) -> None:
    price = configured_price("gpt", (entry,))

    assert price is not None
    assert price.of(Tokens(input=100, cache_written=60, output=1)) == 40 * 10 + 60 * written + 20
    assert price.most(100, 1) == 100 * written + 20


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-5", "openai"), ("claude-sonnet-4-5", "anthropic"), ("gemini-2.5-pro", "google")],
)
@given(
    input=st.integers(0, 500_000),
    output=st.integers(0, 50_000),
    cached=st.floats(0, 1),
    kind=st.integers(0, 2),
)
def test_no_request_costs_more_than_its_bound(
    model: str, provider: str, input: int, output: int, cached: float, kind: int
) -> None:
    price = TablePrice(model, provider)
    part = int(input * cached)
    tokens = [
        Tokens(input=input, output=output, cache_read=part),
        Tokens(input=input, output=output, cache_written=part),
        Tokens(input=input, output=output, cache_written=part, cache_written_1h=part),
    ][kind]

    assert price.of(tokens) <= price.most(input, output)
    assert price.most(input, output) <= price.most(input + 1, output + 1)


@pytest.mark.usefixtures("key")
async def test_counts_that_contradict_each_other_cost_the_most() -> None:
    asked = await found(OPENAI)
    response = ModelResponse(parts=[])

    cost = asked.cost(Tokens(input=10, output=10, cache_read=1_000), response)

    assert cost == asked.most(10, 10)


def test_costs_are_rounded_up() -> None:
    price = configured_price("gpt", ("gpt=0.01/0",))

    assert price is not None
    assert price.of(Tokens(input=1)) == 1


async def test_a_fallback_is_asked_where_the_first_model_fails() -> None:
    @scripted_model("second")
    def second(asked: Any) -> Says:
        return Says(text="from the second", tokens_input=10, tokens_output=5)

    talk = Talk(ModelConnectionError("script", "reset", phase="connect"), fallback=("second",))
    talk.world.plugins.add(second)

    reply = await talk.turn("count")

    assert reply.output == "from the second"
    assert [(one.model, one.error) for one in talk.done] == [
        ("script", "ModelConnectionError"),
        ("second", ""),
    ]
    assert talk.used.model_requests == 1


async def test_a_request_that_may_have_been_billed_stays_reserved() -> None:
    """A fallback gets what is left if the broken request is on the bill."""

    @scripted_model("second")
    def second(asked: Any) -> str:
        return "from the second"

    talk = Talk(ModelConnectionError("script", "reset", phase="read"), fallback=("second",))
    talk.world.plugins.add(second)

    with pytest.raises(PermanentError) as raised:
        await talk.turn("count", budget=Budget(tokens=3_000))

    assert raised.value.code == "limit_reached"


async def test_a_request_that_may_have_been_billed_is_reported_with_the_most_that_it_cost() -> None:
    """Nobody knows what it cost: it is not among the usage, and counts against limits."""
    talk = Talk(ModelConnectionError("script", "reset", phase="read"), prices=("1", "2"))

    with pytest.raises(TransientError):
        await talk.turn("count", budget=Budget(tokens=9_000))

    used = talk.used
    assert (used.model_requests, used.tokens_input, used.cost_micro_usd) == (0, 0, 0)
    assert used.requests_unsettled == 1
    allowed = talk.asked[0].settings["max_tokens"]
    assert allowed < used.tokens_unsettled <= 9_000
    assert used.cost_unsettled_micro_usd == used.tokens_unsettled + allowed


async def test_a_request_that_did_not_reach_the_provider_is_settled() -> None:
    talk = Talk(ModelConnectionError("script", "refused", phase="connect"))

    with pytest.raises(TransientError):
        await talk.turn("count")

    assert talk.used == Usage()


async def test_settings_of_the_agent_are_sent() -> None:
    talk = Talk("yes", settings='{"temperature": 0.2, "max_tokens": 100}')

    await talk.turn("count")

    assert talk.asked[0].settings["temperature"] == 0.2
    assert talk.asked[0].settings["max_tokens"] == 100


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('{"temprature": 1}', "temprature is not a setting of these models; settings are"),
        ('{"api_key": "abc"}', "api_key looks like a credential"),
        ('{"seed": "sk-abc"}', "seed looks like a credential"),
        ('{"extra_headers": {"a": "b"}}', "extra_headers cannot be set: headers carry credentials"),
        ('{"max_retries": 3}', "max_retries cannot be set: recovery repeats"),
        ('{"max_tokens": 0}', "max_tokens must be a positive whole number"),
        ('{"request_timeout": "1"}', "request_timeout must be a positive number"),
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(settings: str, problem: str) -> None:
    talk = Talk("never", settings=settings)

    with pytest.raises(PermanentError, match=problem) as raised:
        await talk.turn("count")

    assert raised.value.code == "model_settings"
    assert "abc" not in str(raised.value)


@pytest.mark.usefixtures("key")
async def test_settings_of_the_provider_are_known() -> None:
    from orchestrator_services.models.request_settings import request_settings

    model = (await found(OPENAI)).model

    made = request_settings(
        json.dumps({"openai_reasoning_effort": "low"}), [model], ModelsSettings(), continues=False
    )

    assert made.get("openai_reasoning_effort") == "low"
    assert made.get("max_retries") == 0


@pytest.mark.parametrize(
    ("tools", "given", "asked_for"),
    [
        ((PRICE,), "{}", {"messages": True}),
        ((), "{}", {"messages": False}),
        ((PRICE,), '{"cache": false}', False),
        ((PRICE,), '{"cache": "1h"}', "1h"),
    ],
)
@pytest.mark.usefixtures("key")
async def test_what_later_requests_repeat_is_kept_in_the_provider_s_cache(
    tools: tuple[ToolDefinition, ...], given: str, asked_for: object
) -> None:
    request = TurnRequest(model=ModelPolicy(name=OPENAI, settings=given), prompt="look", tools=tools)

    run = Run.of(request, context_in(World()), ModelsSettings())

    assert run.settings["cache"] == asked_for


async def test_requests_are_counted_by_model() -> None:
    talk = Talk(Says(text="yes", tokens_input=10, tokens_output=5))

    await talk.turn("count")

    metrics = talk.world.metrics
    assert metrics.of("agents_model_client_requests", model="script", outcome="stop") == 1
    assert metrics.of("agents_model_client_tokens", model="script", kind="input") == 10

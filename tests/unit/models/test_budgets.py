"""Limits of tokens and cost: nothing is sent that may not fit, and what is cut short says so."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator_services.models import Asked, Budget, Says, ToolAnswer
from orchestrator_services.models.bounds import ADDED, ADDED_TO_MESSAGE
from orchestrator_services.models.budget import SHORTEST_ANSWER, Wallet, dollars
from orchestrator_services.models.prices import FixedPrice
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage

from orchestrator.messages.types import ModelPolicy
from orchestrator.sdk import Model, PermanentError
from tests.unit.models.support import NUMBER, Talk

pytestmark = pytest.mark.usefixtures("each_way")

LARGE = 1_000_000


async def test_a_request_that_may_not_fit_is_not_sent() -> None:
    talk = Talk("never said")

    with pytest.raises(
        PermanentError, match=r"leave 100 tokens, the next request .* may need up to"
    ) as raised:
        await talk.turn("count", budget=Budget(tokens=100))

    assert raised.value.code == "limit_reached"
    assert talk.asked == []
    assert talk.used.model_requests == 0


async def test_a_request_whose_cost_may_not_fit_is_not_sent() -> None:
    talk = Talk("never said", prices=("10", "20"))

    with pytest.raises(PermanentError, match=r"leave \$0.001, .* may need up to \d+ tokens and \$0.01"):
        await talk.turn("count", budget=Budget(cost_micro_usd=1_000))

    assert talk.asked == []


async def test_an_answer_may_be_as_long_as_what_is_left() -> None:
    talk = Talk("short")

    await talk.turn("count", budget=Budget(tokens=ADDED + 1_000))

    allowed = talk.asked[0].settings["max_tokens"]
    assert SHORTEST_ANSWER <= allowed < 1_000


async def test_an_answer_cut_by_a_limit_says_so() -> None:
    talk = Talk("word " * 2_000)

    with pytest.raises(
        PermanentError, match=r"was cut after .* tokens, because the session's limits"
    ) as raised:
        await talk.turn("count", budget=Budget(tokens=ADDED + 1_000))

    assert raised.value.code == "limit_reached"
    assert talk.used.model_requests == 1


async def test_an_answer_cut_by_the_agents_own_setting_names_it() -> None:
    talk = Talk("word " * 2_000, settings='{"max_tokens": 50}')

    with pytest.raises(PermanentError, match="after 50 tokens: raise max_tokens") as raised:
        await talk.turn("count")

    assert raised.value.code == "output_too_long"


async def test_every_request_of_a_turn_is_checked() -> None:
    """The second request, which asks again, no longer fits."""
    too_small = Says(output={"n": 0}, tokens_input=900, tokens_output=100)
    talk = Talk(too_small, too_small)

    with pytest.raises(PermanentError) as raised:
        await talk.turn("count", output_schema=NUMBER, budget=Budget(tokens=ADDED + 1_500))

    assert raised.value.code == "limit_reached"
    assert talk.used.model_requests == 1


async def test_what_the_model_has_read_counts_as_it_reported() -> None:
    """Not by its bytes: in a long conversation that would be several times as much."""
    talk = Talk("first", "second")
    await talk.turn("x" * 40_000)

    await talk.turn("more", budget=Budget(tokens=15_000))

    assert talk.used.tokens_input < 25_000


async def test_instructions_and_tools_that_changed_count_again() -> None:
    talk = Talk("first", "second")
    await talk.turn("hello", instructions="Be brief.")

    with pytest.raises(PermanentError) as raised:
        await talk.turn("more", instructions="x" * 20_000, budget=Budget(tokens=15_000))

    assert raised.value.code == "limit_reached"


async def test_for_another_model_the_conversation_counts_by_its_bytes() -> None:
    talk = Talk("first", "second")
    first = await talk.turn("x" * 40_000)
    response = first.history.decoded[-1]
    response.metadata["orchestrator"]["model"] = "another"

    with pytest.raises(PermanentError) as raised:
        await talk.turn("more", budget=Budget(tokens=15_000))

    assert raised.value.code == "limit_reached"


async def test_a_response_without_usage_counts_as_its_bound() -> None:
    """Some servers report none: limits hold for them too."""

    class Silent(WrapperModel):
        async def request(self, *args: Any) -> ModelResponse:
            return replace(await super().request(*args), usage=RequestUsage())

    talk = Talk()
    silent = Silent(FunctionModel(lambda *_: ModelResponse(parts=[TextPart("words")])))
    talk.world.plugins.add(Model("silent", lambda: silent))
    talk.policy = ModelPolicy(name="silent")

    await talk.turn("count")

    assert talk.used.tokens_input > ADDED
    assert talk.used.tokens_output >= 2


async def test_cached_tokens_are_counted_apart() -> None:
    talk = Talk(Says(text="words", tokens_input=100, tokens_cached=80, tokens_output=10), prices=("10", "20"))

    await talk.turn("count")

    assert (talk.used.tokens_input, talk.used.tokens_cached) == (100, 80)
    assert talk.used.cost_micro_usd == 1_200


@given(
    tokens=st.none() | st.integers(0, 20_000),
    cost=st.none() | st.integers(0, 400_000),
    prices=st.tuples(st.sampled_from(["0", "0.15", "3", "15"]), st.sampled_from(["0", "0.6", "75"])),
    script=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 4_000),
            st.sampled_from(["text", "call", "bad call", "bad output", "output", "cut"]),
        ),
        max_size=12,
    ),
)
@settings(max_examples=60, deadline=None)
async def test_limits_are_never_exceeded(
    tokens: int | None, cost: int | None, prices: tuple[str, str], script: list[tuple[float, int, str]]
) -> None:
    """Whatever models report within what their requests allow, and whatever has to be asked again."""
    talk = Talk(*[_reply(*one) for one in script], prices=prices)
    answers: dict[str, ToolAnswer] = {}
    try:
        while True:
            left = Budget(
                tokens=None if tokens is None else tokens - talk.used.tokens_input - talk.used.tokens_output,
                cost_micro_usd=None if cost is None else cost - talk.used.cost_micro_usd,
            )
            reply = await talk.turn("go on", answers, left, output_schema=NUMBER)
            answers = {call.call_id: ToolAnswer("x" * 100) for call in reply.calls}
    except (PermanentError, IndexError):
        pass

    assert tokens is None or talk.used.tokens_input + talk.used.tokens_output <= tokens
    assert cost is None or talk.used.cost_micro_usd <= cost
    assert talk.used.model_requests == sum(1 for one in talk.done if not one.error)


def _reply(share: float, written: int, kind: str) -> Any:
    """A reply that reports a share of the tokens that its request can have at most."""

    def respond(asked: Asked) -> Says:
        sent = sum(len(repr(one)) for one in asked.messages)
        read = 1 + int(share * sent)
        given: dict[str, Any] = {
            "tokens_input": read,
            "tokens_output": min(written, asked.settings["max_tokens"]),
        }
        match kind:
            case "call":
                return Says(calls=[("stock.level", {"item": "a"})], **given)
            case "bad call":
                return Says(calls=[("stock.level", {}), ("none", {})], **given)
            case "bad output":
                return Says(output={"n": 0}, **given)
            case "output":
                return Says(output={"n": 1}, **given)
            case "cut":
                return Says(text="x" * 100, tokens_input=read, tokens_output=asked.settings["max_tokens"] + 1)
            case _:
                return Says(text="words", **given)

    return respond


@given(
    left=st.integers(-10, 10_000),
    most_input=st.integers(0, 12_000),
    wanted=st.integers(1, 5_000),
    prices=st.tuples(st.decimals(0, 100, places=2), st.decimals(0, 100, places=2)),
    money=st.integers(0, 1_000_000),
)
def test_an_answer_is_as_long_as_fits_and_no_longer(
    left: int, most_input: int, wanted: int, prices: tuple[Decimal, Decimal], money: int
) -> None:
    price = FixedPrice(*prices, prices[0], prices[0])
    try:
        allowed = Wallet(left, money).answer_tokens(most_input, wanted, price)
    except PermanentError:
        shortest = min(SHORTEST_ANSWER, wanted)
        assert most_input + shortest > left or price.most(most_input, shortest) > money
        return
    assert most_input + allowed <= left
    assert price.most(most_input, allowed) <= money
    longer = allowed + 1
    assert longer > wanted or most_input + longer > left or price.most(most_input, longer) > money


@pytest.mark.parametrize(
    ("micro_usd", "text"), [(0, "$0"), (1, "$0.000001"), (1_500_000, "$1.5"), (20_000_000, "$20")]
)
def test_amounts_are_readable(micro_usd: int, text: str) -> None:
    assert dollars(micro_usd) == text


def test_bounds_leave_room_for_what_providers_add() -> None:
    assert ADDED > 500
    assert ADDED_TO_MESSAGE > 50

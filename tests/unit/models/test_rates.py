"""Rates of models: how fast one copy may ask, given its share of the work."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator_services.models.rates import Pace, Rate
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError

from orchestrator.sdk import TransientError
from tests.unit.models.support import Talk

LONG = 1e9


class Time:
    """A clock that sleeping moves."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        patch.setattr(asyncio, "sleep", self._sleep)

    def read(self) -> float:
        return self.now

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def pace(time: Time, requests: int | None = None, tokens: int | None = None) -> Pace:
    return Pace(Rate(requests, tokens))


async def test_requests_wait_for_their_turn_once_the_minute_is_used_up(time: Time) -> None:
    begun = time.now
    limited = pace(time, requests=60)
    for _ in range(60):
        await limited.turn(1, 1.0, LONG, time.read)
    assert time.now == begun

    await limited.turn(1, 1.0, LONG, time.read)

    assert time.now == pytest.approx(begun + 1.0)


async def test_half_of_the_partitions_is_half_of_the_rate(time: Time) -> None:
    begun = time.now
    limited = pace(time, requests=60)
    for _ in range(90):
        await limited.turn(1, 0.5, LONG, time.read)

    assert time.now == pytest.approx(begun + 120.0)


async def test_tokens_that_were_not_used_are_given_back(time: Time) -> None:
    begun = time.now
    limited = pace(time, tokens=1_000)
    await limited.turn(1_000, 1.0, LONG, time.read)
    limited.settle(1_000, 100)

    await limited.turn(900, 1.0, LONG, time.read)

    assert time.now == begun


async def test_a_request_larger_than_a_minute_goes_when_nothing_else_has_been_used(time: Time) -> None:
    begun = time.now
    limited = pace(time, tokens=1_000)
    await limited.turn(5_000, 1.0, LONG, time.read)
    assert time.now == begun

    await limited.turn(1, 1.0, LONG, time.read)

    assert time.now > begun + 200


async def test_one_request_tries_first_whether_the_provider_responds_again(time: Time) -> None:
    # given a refusal, after whose time one request goes out
    begun = time.now
    limited = pace(time)
    limited.pause(7, time.now)
    await limited.turn(1, 1.0, LONG, time.read)
    assert time.now == begun + 7

    # then the others wait a moment, and for what the provider says to it
    with pytest.raises(TransientError, match="leave no room") as raised:
        await limited.turn(1, 1.0, 0.5, time.read)
    assert raised.value.retry_after_ms == 1_000
    limited.pause(60, time.now)
    await limited.turn(1, 1.0, LONG, time.read)
    assert time.now == begun + 67

    # and go all together once it has responded
    limited.settle(1, 1)
    await limited.turn(1, 1.0, 0.0, time.read)
    await limited.turn(1, 1.0, 0.0, time.read)
    assert time.now == begun + 67


async def test_others_do_not_wait_for_a_long_response_to_the_first(time: Time) -> None:
    limited = pace(time)
    limited.pause(7, time.now)
    await limited.turn(1, 1.0, LONG, time.read)
    begun = time.now

    await limited.turn(1, 1.0, LONG, time.read)
    await limited.turn(1, 1.0, 0.0, time.read)

    assert time.now == begun + 1


async def test_a_response_to_an_earlier_request_does_not_end_a_refusal(time: Time) -> None:
    begun = time.now
    limited = pace(time)
    await limited.turn(1, 1.0, LONG, time.read)
    limited.pause(7, time.now)
    limited.settle(1, 1)

    await limited.turn(1, 1.0, LONG, time.read)

    assert time.now == begun + 7


async def test_a_refusal_makes_everybody_wait(time: Time) -> None:
    begun = time.now
    limited = pace(time)
    limited.pause(7, time.now)

    await limited.turn(1, 1.0, LONG, time.read)

    assert time.now == begun + 7


async def test_who_cannot_wait_is_told_when_to_come_back(time: Time) -> None:
    limited = pace(time)
    limited.pause(90, time.now)

    with pytest.raises(TransientError) as raised:
        await limited.turn(1, 1.0, 30, time.read)

    assert raised.value.code == "rate_limited"
    assert raised.value.failure.retry_after_ms == 90_000


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=50),
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
)
def test_copies_together_stay_within_the_rate(amounts: list[int], weights: list[float]) -> None:
    """Over any time, at most the minute's worth of each second plus one full bucket."""
    shares = [weight / sum(weights) for weight in weights]

    async def all_of() -> None:
        with pytest.MonkeyPatch.context() as patch:
            used = 0
            longest = 0.0
            for share in shares:
                time = Time(patch)
                limited, begun = pace(time, tokens=1_000), time.now
                for amount in amounts:
                    await limited.turn(min(amount, round(1_000 * share)), share, LONG, time.read)
                    used += min(amount, round(1_000 * share))
                longest = max(longest, time.now - begun)
            assert used <= 1_000 + longest * 1_000 / 60 + len(shares) + 1

    asyncio.run(all_of())


async def test_a_model_that_refused_for_its_rate_is_left_alone_for_as_long_as_it_wants() -> None:
    refused = ModelHTTPError.for_category(
        ModelRateLimitError, status_code=429, model_name="script", headers={"Retry-After": "60"}
    )
    talk = Talk(refused, "there")

    for _ in range(2):
        with pytest.raises(TransientError) as raised:
            await talk.turn("Are you there?")
        assert raised.value.code == "rate_limited"
        assert raised.value.failure.retry_after_ms == pytest.approx(60_000, abs=100)

    assert len(talk.asked) == 1

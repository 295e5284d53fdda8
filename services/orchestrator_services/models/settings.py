"""Settings of the model client."""

from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Final

from pydantic import Field, field_validator

from orchestrator.sdk import PluginSettings
from orchestrator_services.models.rates import Rate

_WRITTEN: Final = Decimal("1.25")
"""What input costs that a provider writes to its cache, relative to other input: what those take that charge for it."""


class ModelsSettings(PluginSettings, prefix="MODELS"):
    """How models are asked. Credentials of providers stay in their own variables, such as OPENAI_API_KEY."""

    request_timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds for one request to a model, until its whole response has come."""
    max_requests: Annotated[int, Field(ge=1)] = 3
    """Most requests of one turn: the first, and those that ask again because tools or output did not fit."""
    max_tokens: Annotated[int, Field(ge=16)] = 4096
    """Most tokens of one response, where the agent's model settings do not say."""
    max_response_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Most bytes of a streamed response. A line of it may have a quarter of that, and so may a response that comes as a
    whole, or an error."""
    stream: bool = True
    """Whether people can watch responses while models write them; off, each comes as a whole."""
    prices: tuple[str, ...] = ()
    """Prices that the built-in table does not know or has wrong, in US dollars for a million tokens:
    `MODEL=INPUT/OUTPUT`, as in `openai:gpt-x=1.25/10`. Input that is read from a provider's cache and input that is
    written to it may follow, `MODEL=INPUT/OUTPUT/READ/WRITTEN`; left out, they are `INPUT` and 1.25 times `INPUT`."""

    rates: tuple[str, ...] = ()
    """Requests and tokens a minute that the provider allows, of all copies together: `MODEL=REQUESTS/TOKENS`,
    as in `openai:gpt-x=500/200000`; empty on one side is no limit."""

    @field_validator("rates")
    @classmethod
    def _rates(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            rate_entry(entry)
        return entries

    @field_validator("prices")
    @classmethod
    def _readable(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            price_entry(entry)
        return entries


def price_entry(entry: str) -> tuple[str, tuple[Decimal, ...]]:
    """Model and prices (input, output, input read from a cache, input written to it) of an entry.

    Raises `ValueError`.
    """
    model, found, amounts = entry.rpartition("=")
    try:
        prices = tuple(Decimal(amount) for amount in amounts.split("/"))
    except InvalidOperation:
        prices = ()
    valid = all(price.is_finite() and price >= 0 for price in prices)
    if not (model and found and valid and len(prices) in (2, 3, 4)):
        raise ValueError(
            f"{entry!r} is not a price: write MODEL=INPUT/OUTPUT, in US dollars for a million tokens"
        )
    return model, (*prices, *(prices[0], prices[0] * _WRITTEN)[len(prices) - 2 :])


def rate_entry(entry: str) -> tuple[str, Rate]:
    """Model and rate of an entry. Raises `ValueError`."""
    model, found, amounts = entry.rpartition("=")
    parts = amounts.split("/")
    if not (model and found and len(parts) == 2 and all(not part or part.isdecimal() for part in parts)):
        raise ValueError(f"{entry!r} is not a rate: write MODEL=REQUESTS/TOKENS, both a minute")
    requests, tokens = (int(part) if part else None for part in parts)
    if 0 in (requests, tokens):
        raise ValueError(f"{entry!r} allows nothing: leave out what has no limit")
    return model, Rate(requests, tokens)


@cache
def settings() -> ModelsSettings:
    """The settings of this process, read once: each request asks for them."""
    return ModelsSettings.read()

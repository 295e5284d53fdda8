"""What tokens cost, in millionths of a US dollar rounded up: from settings, or from the table of genai-prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, Protocol

from orchestrator_services.models.settings import price_entry

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.usage import RequestUsage

_MICRO: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of one request. Those that were read from or written to the provider's cache are among the input."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_written: int = 0
    cache_written_1h: int = 0


class Price(Protocol):
    """The price of one model."""

    def of(self, tokens: Tokens) -> int:
        """What a request cost, micro USD."""

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """What a request costs at most, micro USD, whatever the provider reads from its cache or writes to it."""


@dataclass(frozen=True)
class FixedPrice:
    """A price from settings: US dollars for a million tokens, which is micro USD for one."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_written: Decimal

    def of(self, tokens: Tokens) -> int:
        read = min(tokens.cache_read, tokens.input)
        written = min(tokens.cache_written, tokens.input - read)
        return _rounded_up(
            (tokens.input - read - written) * self.input
            + read * self.cache_read
            + written * self.cache_written
            + tokens.output * self.output
        )

    def most(self, input_tokens: int, output_tokens: int) -> int:
        dearest = max(self.input, self.cache_read, self.cache_written)
        return _rounded_up(input_tokens * dearest + output_tokens * self.output)


FREE: Final = FixedPrice(*[Decimal(0)] * 4)


class TablePrice:
    """A price of the table that genai-prices brings along. It is never fetched: a price does not change while a
    process runs."""

    def __init__(self, model: str, provider: str) -> None:
        """Raises `LookupError` for a model that the table does not have."""
        self._model = model
        self._provider = provider
        self.of(Tokens(input=1, output=1))

    def of(self, tokens: Tokens) -> int:
        from genai_prices import calc_price

        price = calc_price(_usage(tokens), self._model, provider_id=self._provider)
        return _rounded_up(price.total_price * _MICRO)

    def most(self, input_tokens: int, output_tokens: int) -> int:
        # Some providers take more for tokens that they write to their cache.
        kinds = (
            Tokens(input=input_tokens, output=output_tokens),
            Tokens(input=input_tokens, output=output_tokens, cache_written=input_tokens),
            Tokens(
                input=input_tokens,
                output=output_tokens,
                cache_written=input_tokens,
                cache_written_1h=input_tokens,
            ),
        )
        return max(self.of(tokens) for tokens in kinds)


def configured_price(name: str, entries: Sequence[str]) -> Price | None:
    """The price that settings give a model, by the name that agents use; the last entry holds."""
    prices = dict(map(price_entry, entries))
    return FixedPrice(*prices[name]) if name in prices else None


def table_price(model: "Model") -> Price | None:
    """The price that the table has for a model; None without one."""
    try:
        return TablePrice(model.model_name, model.system)
    except LookupError:
        return None


def _usage(tokens: Tokens) -> "RequestUsage":
    from pydantic_ai.usage import RequestUsage

    return RequestUsage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_written,
        cache_write_1h_tokens=tokens.cache_written_1h,
    )


def _rounded_up(micro_usd: Decimal) -> int:
    return int(micro_usd.to_integral_value(rounding=ROUND_CEILING))

"""What is left for requests, and how long an answer may get so that nothing exceeds it."""

from dataclasses import dataclass
from typing import Final

from orchestrator.sdk import PermanentError
from orchestrator_services.models.port import Budget
from orchestrator_services.models.prices import Price

SHORTEST_ANSWER: Final = 16
"""Tokens. A request whose answer would have to be shorter is not sent: it could not say anything."""


@dataclass
class Wallet:
    """What the requests of one turn may still use; None is no limit."""

    tokens: int | None
    cost_micro_usd: int | None

    @classmethod
    def of(cls, budget: Budget) -> "Wallet":
        return cls(budget.tokens, budget.cost_micro_usd)

    def pay(self, tokens: int, cost_micro_usd: int) -> None:
        if self.tokens is not None:
            self.tokens -= tokens
        if self.cost_micro_usd is not None:
            self.cost_micro_usd -= cost_micro_usd

    def answer_tokens(self, most_input: int, wanted: int, price: Price | None) -> int:
        """Most tokens that the answer to a request may have: `wanted`, or fewer if they could exceed what is left.

        `most_input` is an upper bound of the request's tokens. Raises `PermanentError` with `limit_reached` if not
        even a short answer fits. Where a cost limit holds, there has to be a price.
        """
        fits = wanted if self.tokens is None else min(wanted, self.tokens - most_input)
        if self.cost_micro_usd is not None and price is not None:
            fits = _affordable(most_input, fits, price, self.cost_micro_usd)
        if fits < min(SHORTEST_ANSWER, wanted):
            raise PermanentError(self._refusal(most_input, price), code="limit_reached")
        return fits

    def _refusal(self, most_input: int, price: Price | None) -> str:
        needs, left = [f"{most_input + SHORTEST_ANSWER} tokens"], []
        if self.tokens is not None:
            left.append(f"{max(0, self.tokens)} tokens")
        if self.cost_micro_usd is not None and price is not None:
            needs.append(dollars(price.most(most_input, SHORTEST_ANSWER)))
            left.append(dollars(max(0, self.cost_micro_usd)))
        return (
            f"the limits of the session leave {' and '.join(left)}, the next request to the model may need up to "
            f"{' and '.join(needs)}: it was not sent; raise the limits, or give the agent less to read"
        )


def dollars(micro_usd: int) -> str:
    """An amount for people: `$0.0123`, without trailing zeros."""
    return "$" + (f"{micro_usd / 1_000_000:.6f}".rstrip("0").rstrip(".") or "0")


def _affordable(most_input: int, wanted: int, price: Price, left: int) -> int:
    """The largest number of output tokens up to `wanted` whose cost is at most `left`; -1 if the input costs more."""
    if price.most(most_input, max(0, wanted)) <= left:
        return wanted
    if price.most(most_input, 0) > left:
        return -1
    affordable, dear = 0, wanted
    while dear - affordable > 1:
        middle = (affordable + dear) // 2
        if price.most(most_input, middle) <= left:
            affordable = middle
        else:
            dear = middle
    return affordable

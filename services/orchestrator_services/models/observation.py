"""What is known of a request to a model when it is over, and the counters that it moves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.sdk import Context
from orchestrator_services.models.prices import NO_TOKENS, Tokens


@dataclass(frozen=True, kw_only=True)
class RequestDone:
    """One request to a model. Never what was asked or answered."""

    model: str
    """Its name, as agents use it."""
    responded_as: str = ""
    """The name that the provider gives the model, often with a date."""
    provider: str = ""
    started_at: int
    """Unix time in microseconds, as `ended_at`."""
    ended_at: int
    tokens: Tokens = NO_TOKENS
    cost_micro_usd: int = 0
    finish_reason: str = ""
    max_tokens: int = 0
    error: str = ""
    """Type of the error, for a request without a response."""


Observer: TypeAlias = Callable[[RequestDone, Context], None]
"""Called after each request; must not fail."""


def counted(done: RequestDone, context: Context) -> None:
    """Counts requests, tokens, cost and time by model."""
    metrics, model = context.metrics, done.model
    metrics.count("agents_model_requests", model=model, outcome=done.error or done.finish_reason or "done")
    metrics.count("agents_model_seconds", (done.ended_at - done.started_at) / 1_000_000, model=model)
    metrics.count("agents_model_tokens", done.tokens.input, model=model, kind="input")
    metrics.count("agents_model_tokens", done.tokens.output, model=model, kind="output")
    metrics.count("agents_model_tokens", done.tokens.cache_read, model=model, kind="cached")
    metrics.count("agents_model_cost_usd", done.cost_micro_usd / 1_000_000, model=model)

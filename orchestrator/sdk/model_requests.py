"""Requests to models, as traces show them, and what they write, as people watch it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelContent:
    """What a model was asked and answered. Messages are JSON data in the form of OpenTelemetry's conventions for
    generative AI: `role`, and `parts` that have a `type` each."""

    instructions: str = ""
    input: Sequence[Mapping[str, Any]] = ()
    """Oldest first."""
    output: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """One request to a model, when it is over."""

    model: str
    """Its name, as agents use it."""
    responded_as: str = ""
    """The name that the provider gives the model, often with a date."""
    provider: str = ""
    """Name of the provider, such as openai."""
    started_at: int
    """Unix time in microseconds, as `ended_at`."""
    ended_at: int
    first_token_at: int = 0
    """When the first part of a streamed response came; 0 for one that came at once."""
    tokens_input: int = 0
    tokens_cached: int = 0
    tokens_output: int = 0
    cost_micro_usd: int = 0
    max_tokens: int = 0
    """Most tokens that the response was allowed; 0 for no bound."""
    finish_reason: str = ""
    error: str = ""
    """Type of the error, for a request without a response."""
    content: Callable[[], ModelContent] | None = field(default=None, repr=False, compare=False)
    """Makes what was asked and answered. Called only where traces are set to show it."""


@dataclass(frozen=True, kw_only=True)
class ModelDelta:
    """What a model has added to one part of its response."""

    request: int
    """Which request of the context's message, as `Context.next_model_request` numbers them."""
    part: int
    """Index of the part in the response, from 0."""
    position: int
    """How many characters of this part came before."""
    text: str
    tool: str = ""
    """Name of the tool whose arguments are written; empty for text."""
    ended: bool = False
    """Whether the part is complete with it."""

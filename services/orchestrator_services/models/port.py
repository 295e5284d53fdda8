"""What planners, judges and other roles ask models with: plain data, and the port of the client."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from orchestrator.sdk import Context, ToolDefinition
from orchestrator.sdk.messages import types


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model asks for. The tool exists and the arguments fit its schema."""

    call_id: str
    """Identity of the call in the conversation; the next request answers it."""
    tool: str
    """Name of the tool, as its definition has it."""
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolAnswer:
    """What came of a call: its output as JSON data, or what went wrong, as a text for the model to think about."""

    content: Any = None
    problem: str = ""


@dataclass(frozen=True)
class Budget:
    """What requests may still use. None is no limit."""

    tokens: int | None = None
    """Input and output tokens together."""
    cost_micro_usd: int | None = None
    requests: int | None = None
    """Requests of one turn, where fewer than `ORCHESTRATOR_MODELS_MAX_REQUESTS` are left."""

    @classmethod
    def within(cls, limits: types.Limits) -> "Budget":
        """All of the tokens and the cost of these limits."""
        return cls(limits.tokens, limits.cost_micro_usd)


NO_LIMIT: Final = Budget()


@dataclass(frozen=True)
class History:
    """A conversation so far, decoded. Only the client reads what it holds; it never changes, so it can be kept."""

    decoded: tuple[Any, ...] = ()

    @classmethod
    def of(cls, messages: Iterable[Mapping[str, Any]]) -> "History":
        """The history that these messages make, those of every `TurnReply` in their order.

        Raises `ContractError` for messages that no client wrote, `ConfigurationError` if no client is installed.
        """
        # Imported here: it imports the client's library, which takes seconds.
        from orchestrator_services.models.conversion import decoded

        return cls(decoded(messages))

    @property
    def open_calls(self) -> Sequence[ToolCall]:
        """The calls of the last reply, in its order, without those that the client has answered itself."""
        from orchestrator_services.models.conversion import open_calls

        return [
            ToolCall(one.tool_call_id, one.tool_name, one.args_as_dict()) for one in open_calls(self.decoded)
        ]


@dataclass(frozen=True, kw_only=True)
class TurnRequest:
    """One turn of a conversation. It has a prompt, or answers to every call of the last reply, or both."""

    model: types.ModelPolicy
    """Model, fallback and settings. Its instructions, examples and output schema are not read here."""
    instructions: str = ""
    """What the agent is told about its work. Sent with each request, not kept in the history."""
    history: History | None = None
    prompt: str = ""
    """What the user says now, after the answers."""
    answers: Mapping[str, ToolAnswer] = field(default_factory=dict)
    """An answer for each call of the last reply, by `call_id`."""
    tools: Sequence[ToolDefinition] = ()
    """Tools that the model may ask for."""
    output_schema: dict[str, Any] | None = None
    """JSON Schema (2020-12) that the output must fit; None for text."""
    budget: Budget = NO_LIMIT


@dataclass(frozen=True, kw_only=True)
class TurnReply:
    """What the model wants next: calls, or else it is done and `output` is its answer."""

    calls: Sequence[ToolCall] = ()
    """Calls that it wants answered; they may run side by side."""
    output: Any = None
    """JSON data that fits the output schema, or text without one; None while there are calls."""
    text: str = ""
    """What it said in words beside its calls or its output."""
    messages: Sequence[dict[str, Any]] = ()
    """What this turn adds to the conversation, as JSON data."""
    history: History = History()
    """The conversation with this turn."""


class ModelClient(Protocol):
    """Asks models. Any number of turns may be asked at the same time on one event loop.

    Every request that a model answered is counted by `context.use`, also if the turn fails after it. Nothing is
    sent that could exceed the request's budget. After an error the conversation is as it was. Both methods raise

    - `TransientError` with `rate_limited`, `overloaded` or `model_unavailable`, and the wait that the provider asks
      for;
    - `PermanentError` with `limit_reached` (nothing was sent, or the answer was cut), `output_does_not_fit`,
      `output_too_long`, `context_too_long`, `content_refused`, `request_rejected`, `quota_exceeded`; for what has to
      be configured `no_price`, `model_settings`, `output_schema`, `unknown_model`, `provider_not_installed`,
      `bad_credentials`; else `model_error`;
    - `InvalidInput` with `unanswered_calls` or `nothing_asked`.
    """

    async def turn(self, request: TurnRequest, context: Context) -> TurnReply:
        """One turn: one request, and more where the reply does not fit the tools or the output schema."""

    async def ask(
        self,
        model: types.ModelPolicy,
        prompt: str,
        context: Context,
        *,
        instructions: str = "",
        output_schema: dict[str, Any] | None = None,
        budget: Budget = NO_LIMIT,
    ) -> Any:
        """One question without tools or history: data that fits the schema, or text without one."""
        request = TurnRequest(
            model=model, instructions=instructions, prompt=prompt, output_schema=output_schema, budget=budget
        )
        return (await self.turn(request, context)).output

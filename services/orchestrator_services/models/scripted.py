"""Models that are functions, for tests and examples: what they say depends on the conversation alone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from orchestrator.sdk import Model
from orchestrator_services.models.prices import FixedPrice


class _Nothing:
    """Told apart from None, which is an output too."""


NOTHING: Final = _Nothing()


@dataclass(frozen=True)
class Heard:
    """One thing that was said in the conversation."""

    by: Literal["user", "model", "tool", "client"]
    """`client` asks again for what did not fit."""
    text: str = ""
    tool: str = ""
    """Of a call of the model, or of an answer to it."""
    call_id: str = ""
    arguments: Any = None
    problem: bool = False
    """Whether an answer says what went wrong."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a scripted model is asked."""

    messages: Sequence[Heard]
    """The conversation, oldest first."""
    instructions: str = ""
    tools: Sequence[str] = ()
    output_schema: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def turn(self) -> int:
        """How often the model has replied so far: 0 at first."""
        replies = [index for index, one in enumerate(self.messages) if one.by == "model"]
        return sum(1 for index in replies if index == 0 or self.messages[index - 1].by != "model")

    @property
    def prompt(self) -> str:
        """What the user said last."""
        return next((one.text for one in reversed(self.messages) if one.by == "user"), "")

    @property
    def new(self) -> Sequence[Heard]:
        """What was said since the model's last reply."""
        last = max((index for index, one in enumerate(self.messages) if one.by == "model"), default=-1)
        return self.messages[last + 1 :]

    @property
    def answers(self) -> Mapping[str, str]:
        """Answers to the last reply, by tool; of several to one tool the last."""
        return {one.tool: one.text for one in self.new if one.by == "tool"}


@dataclass(frozen=True, kw_only=True)
class Says:
    """What a scripted model replies: words, calls, or an output that fits the schema."""

    text: str = ""
    calls: Sequence[tuple[str, Any]] = ()
    """Tool and arguments; anything that is not an object is sent as a model would that makes mistakes."""
    output: Any = NOTHING
    """Structured output, where a schema asks for it."""
    tokens_input: int | None = None
    """What it reports to have read; by default a quarter of the characters."""
    tokens_output: int | None = None
    tokens_cached: int = 0
    finish_reason: Literal["stop", "length", "content_filter"] | None = None


Reply: TypeAlias = str | Says
Script: TypeAlias = Callable[[Asked], Reply] | Callable[[Asked], Awaitable[Reply]]


def scripted_model(
    name: str, *, input_price: str | Decimal = "0", output_price: str | Decimal = "0"
) -> Callable[[Script], Model]:
    """Declares `f(asked) -> str | Says`, `async` or not, as a model of that name.

    A script has no memory but the conversation: after a restart it is asked again. Its answers obey `max_tokens`, as
    those of providers do: a longer one is cut. What it raises is what the request to the model raises. Prices are US
    dollars for a million tokens.

        @scripted_model("clerk")
        def clerk(asked: Asked) -> Says:
            if asked.turn == 0:
                return Says(calls=[("stock.level", {"item": "apple"})])
            return Says(text=f"There are {asked.answers['stock.level']}.")
    """

    def declare(script: Script) -> Model:
        def build() -> Any:
            # Imported here: it takes seconds, and whoever declares a model does not need it.
            from orchestrator_services.models.scripts import ScriptedModel

            price = FixedPrice(*map(Decimal, (input_price, output_price, input_price, input_price)))
            return ScriptedModel(name, script, price)

        return Model(name, build)

    return declare

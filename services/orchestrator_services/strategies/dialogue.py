"""The conversation of a session, as it goes on during one planning call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from orchestrator.sdk import Context, PlanRequest, ToolDefinition
from orchestrator.sdk.messages import types
from orchestrator_services.models import ToolCall, TurnReply, TurnRequest, model_client
from orchestrator_services.prompting.outputs import Shown
from orchestrator_services.strategies.allowance import Allowance
from orchestrator_services.strategies.answers import Answers
from orchestrator_services.strategies.prompts import instructions_for, model_of
from orchestrator_services.strategies.recall import Recalled, in_words, recalled, referenced

_NO_ANSWERS: Final = Answers()

Ask: TypeAlias = Callable[[TurnRequest, Context], Awaitable[TurnReply]]
"""Asks a model for one turn, as `ModelClient.turn` does."""


class Dialogue:
    """What was said with the agent's model, and a way to go on. Nothing is kept until the plan is returned."""

    def __init__(
        self,
        request: PlanRequest,
        context: Context,
        model: types.ModelPolicy,
        instructions: str,
        memory: Recalled,
        ask: Ask | None = None,
    ) -> None:
        self.request = request
        self.context = context
        self.model = model
        self.memory = memory
        """Goes into the memo of the plan."""
        self.messages: list[Mapping[str, Any]] = []
        """What this call adds to the conversation; goes into the plan."""
        self.allowance = Allowance(request.limits, context)
        self._instructions = instructions
        self._ask = ask

    @classmethod
    async def resumed(
        cls,
        request: PlanRequest,
        context: Context,
        *rules: str,
        model: types.ModelPolicy | None = None,
        ask: Ask | None = None,
    ) -> "Dialogue":
        """The conversation up to now. `rules` stand below the agent's instructions.

        It is had with the model of the agent's profile, by the client of models; or with `model`, which `ask` asks.
        Raises `InvalidInput` for an agent without a model.
        """
        model = model or model_of(request)
        return cls(
            request,
            context,
            model,
            await instructions_for(model, context, *rules),
            await recalled(request.conversation, context.values),
            ask,
        )

    @property
    def has_begun(self) -> bool:
        return self.memory.history is not None

    @property
    def open_calls(self) -> Sequence[ToolCall]:
        """Calls of the model that wait for an answer."""
        return self.memory.history.open_calls if self.memory.history else []

    async def turn(
        self,
        prompt: Sequence[Shown],
        *,
        answers: Answers = _NO_ANSWERS,
        tools: Sequence[ToolDefinition] = (),
        output_schema: dict[str, Any] | None = None,
    ) -> TurnReply:
        """Says this, and returns what the model replies. After an error the conversation is as it was."""
        ask = self._ask or model_client().turn
        reply = await ask(
            TurnRequest(
                model=self.model,
                instructions=self._instructions,
                history=self.memory.history,
                prompt=in_words(prompt),
                answers=answers.by_call,
                tools=tools,
                output_schema=output_schema,
                budget=self.allowance.budget(),
            ),
            self.context,
        )
        self.messages += referenced(reply.messages, answers.references, prompt)
        references = [*answers.references.values(), *(one.reference for one in prompt if one.reference)]
        outputs = {**self.memory.outputs, **{one.step: one.value for one in references}}
        self.memory = Recalled(reply.history, outputs)
        return reply

"""Turns with scripted models, on a platform in memory."""

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator_services.models import (
    Asked,
    Budget,
    History,
    ModelClient,
    Says,
    ToolAnswer,
    TurnReply,
    TurnRequest,
    scripted_model,
)
from orchestrator_services.models.client import PydanticModelClient
from orchestrator_services.models.observation import RequestDone

from orchestrator.messages import commands
from orchestrator.messages.types import CallKind, ModelPolicy, ToolDefinition, Usage
from orchestrator.sdk import Context, ServiceContext
from tests.unit.services.support import World, call, command

STOCK = ToolDefinition(
    name="stock.level",
    description="How many pieces there are.",
    arguments_schema='{"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}',
)
PRICE = ToolDefinition(name="price", arguments_schema='{"type": "object"}')
NUMBER: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}},
    "required": ["n"],
}


class Talk:
    """One conversation with a script: each turn continues it."""

    def __init__(
        self,
        *says: Any,
        tools: tuple[ToolDefinition, ...] = (STOCK, PRICE),
        prices: tuple[str, str] = ("0", "0"),
        **policy: Any,
    ) -> None:
        self.asked: list[Asked] = []
        self.done: list[RequestDone] = []
        self.tools = tools
        self.history: History | None = None
        self._says = list(says)
        plugin = scripted_model("script", input_price=prices[0], output_price=prices[1])(self._respond)
        self.world = World(plugin)
        self.policy = ModelPolicy(name="script", **policy)
        self.context = context_in(self.world)
        self.client: ModelClient = PydanticModelClient(lambda done, _context: self.done.append(done))

    def _respond(self, asked: Asked) -> Says:
        self.asked.append(asked)
        said = self._says.pop(0)
        if callable(said):
            said = said(asked)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Says) else Says(text=said)

    async def turn(
        self,
        prompt: str = "",
        answers: Mapping[str, ToolAnswer] | None = None,
        budget: Budget | None = None,
        **request: Any,
    ) -> TurnReply:
        reply = await self.client.turn(
            TurnRequest(
                model=self.policy,
                prompt=prompt,
                answers=answers or {},
                history=self.history,
                tools=self.tools,
                budget=budget or Budget(),
                **request,
            ),
            self.context,
        )
        self.history = reply.history
        return reply

    @property
    def used(self) -> Usage:
        return self.context.used


def context_in(world: World) -> Context:
    message = command(commands.CreatePlan, call=call(CallKind.PLAN), planner="react", goal="count")
    return ServiceContext("planner", message, world.platform)


Script = Callable[[Asked], Says]

"""Turns with scripted models, on a platform in memory."""

import asyncio
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

from orchestrator.messages import commands
from orchestrator.messages.types import CallKind, ModelPolicy, ToolDefinition, Usage
from orchestrator.sdk import Context, ModelRequest, ServiceContext
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
        self.tools = tools
        self.history: History | None = None
        self._says = list(says)
        plugin = scripted_model("script", input_price=prices[0], output_price=prices[1])(self._respond)
        self.world = World(plugin)
        self.policy = ModelPolicy(name="script", **policy)
        self.context = context_in(self.world)
        self.client: ModelClient = PydanticModelClient()

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
    def done(self) -> list[ModelRequest]:
        """Requests to models that are over, as the session's trace has them."""
        return self.world.traced

    @property
    def used(self) -> Usage:
        return self.context.used


def context_in(world: World) -> Context:
    message = command(commands.CreatePlan, call=call(CallKind.PLAN), planner="react", goal="count")
    return ServiceContext("planner", message, world.platform)


Script = Callable[[Asked], Says]


async def until(condition: Callable[[], Any]) -> None:
    """Waits for what happens on this event loop."""
    while not condition():  # noqa: ASYNC110 - no event is set for it
        await asyncio.sleep(0.001)

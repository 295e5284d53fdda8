"""An agent of pydantic-ai as somebody has it, with tools of its own; the last line makes it durable."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from orchestrator_services.agents import durable
from pydantic import BaseModel, ConfigDict
from pydantic_ai import Agent, RunContext
from pydantic_ai.exceptions import ToolFailed

from orchestrator.sdk import Context
from tests.integration.thinking import shop


@dataclass
class Shop:
    place: Path
    """Where its tools leave what they did."""


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: str


agent = Agent(
    "openai-chat:plain-agent",
    name="plain-agent",
    deps_type=Shop,
    output_type=Answer,
    instructions="You keep a shop.",
    retries=2,
    defer_model_check=True,
)


@agent.tool_plain
def stock_level(item: str) -> int:
    """How many pieces of an item are in stock."""
    return shop.STOCK[item]


@agent.tool
def stock_price(ctx: RunContext[Shop], item: str) -> int:
    """What an item costs, cents. The first attempt fails."""
    asked = ctx.deps.place / "asked for the price"
    if not asked.exists():
        asked.touch()
        raise ConnectionError("the price list does not respond")
    return shop.PRICES[item]


@agent.tool
def stock_order(ctx: RunContext[Shop], item: str, pieces: int) -> str:
    """Orders pieces of an item. Nobody sells apples."""
    if item == "apple":
        raise ToolFailed("the supplier of apple is closed")
    return shop.ordered(ctx.deps.place, item, pieces)


@agent.tool(timeout=600)
async def shop_meet(ctx: RunContext[Shop], me: str, other: str) -> str:
    """Waits until the other one is there: it returns only if both run at once."""
    return await shop.met(ctx.deps.place, me, other)


@agent.tool(timeout=600)
async def shop_wait(ctx: RunContext[Shop]) -> str:
    """Waits until the test lets it go on."""
    return await shop.waited(ctx.deps.place)


async def make_shop(context: Context) -> Shop:
    return Shop(await asyncio.to_thread(shop.place_of, context.correlation_id))


durable_agent = durable(agent, deps=make_shop, at_most_once=["stock_order"])

"""An agent of pydantic-ai that thinks as those of `thoughts` do, with tools of its own."""

from typing import Literal

from orchestrator_services.agents import durable
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext

from orchestrator.sdk import Context
from tests.chaos import thoughts


class Answer(BaseModel):
    sum: int
    charged: Literal["yes", "unknown"]


agent = Agent(
    f"openai-chat:{thoughts.PLAIN}",
    name=thoughts.PLAIN,
    deps_type=Context,
    output_type=Answer,
    instructions="Look at four places, and charge once.",
    model_settings={"max_tokens": 1000},
    defer_model_check=True,
)


@agent.tool
async def chaos_look(ctx: RunContext[Context], number: int, place: int) -> dict[str, int]:
    """Returns what is at a place, and the place after it. Every fifth look fails the first time."""
    attempt: int = getattr(ctx.deps.message, "call").attempt  # noqa: B009 - an ExecuteTool
    return await thoughts.looked(number, place, attempt)


@agent.tool(timeout=5)
async def chaos_charge(ctx: RunContext[Context], number: int) -> str:
    """Charges: once for each task, whatever happens."""
    return await thoughts.charged(number, ctx.deps.correlation_id, ctx.deps.idempotency_key)


def own_context(context: Context) -> Context:
    return context


durable_agent = durable(agent, deps=own_context, at_most_once=["chaos_charge"])

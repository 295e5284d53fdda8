"""What tests of strategies share: tools of a shop, and a clerk who is a scripted model."""

from collections.abc import Callable
from typing import Any

# Its import takes seconds, which no session should have to wait for.
import orchestrator_services.models.client  # noqa: F401
from orchestrator_services.models import Asked, Says, scripted_model

from orchestrator.messages import events
from orchestrator.messages.types import Plan
from orchestrator.sdk import (
    Evaluation,
    EvaluationRequest,
    Model,
    NextMove,
    PermanentError,
    PlanReview,
    Review,
    ReviewVerdict,
    evaluator,
    reviewer,
    tool,
)
from orchestrator.testing import Harness


@tool("stock.level")
def level(item: str) -> int:
    """How many of an item there are."""
    return {"apple": 3, "pear": 5}.get(item, 0)


@tool("stock.order")
def order(item: str) -> str:
    """Orders an item."""
    raise PermanentError(f"the supplier of {item} is closed")


@tool("stock.history")
def history(days: int) -> list[dict[str, Any]]:
    """What was sold, day by day."""
    return [{"day": day, "sold": f"item {day} " * 20} for day in range(days)]


@tool("stock.add")
def add(amounts: list[int]) -> dict[str, int]:
    """Adds amounts up."""
    return {"sum": sum(amounts)}


@evaluator("picky")
async def picky(request: EvaluationRequest) -> Evaluation:
    """Wants to hear please."""
    good = "please" in str(request.result)
    move = NextMove.FINISH if good else NextMove.REVISE
    return Evaluation(goal_met=good, next=move, reason="say please")


@reviewer("thrifty")
async def thrifty(request: PlanReview) -> Review | None:
    """Rejects plans of more than one step."""
    if len(request.plan.steps) > 1:
        return Review(reviewer="thrifty", verdict=ReviewVerdict.REJECT, reason="one step is enough")
    return None


def desk(planner: str, *more: str) -> str:
    """The YAML of the agent that the clerk thinks for."""
    lines = ["agent: desk", f"planner: {planner}", "model: scripted:clerk", "retry: {attempts: 2}", *more]
    return "\n".join(lines)


def clerk(script: Callable[[Asked], Says]) -> Model:
    return scripted_model("scripted:clerk")(script)


def plans(harness: Harness) -> list[Plan]:
    return [message.plan for message in harness.produced if isinstance(message, events.PlanAccepted)]


def told(asked: Asked) -> list[str]:
    """What tools and their failures said since the last reply."""
    return [one.text for one in asked.new if one.by == "tool"]

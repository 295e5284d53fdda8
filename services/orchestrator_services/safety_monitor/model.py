"""The reviewer `model`: safety rules in words."""

from functools import cache
from typing import Any, Final

from orchestrator.sdk import Context, PlanReview, Review, ReviewVerdict, reviewer
from orchestrator.sdk.messages import types
from orchestrator_services.models import Budget, model_client
from orchestrator_services.policies import refusal
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.questions import policy_of
from orchestrator_services.safety_monitor.review import visible
from orchestrator_services.safety_monitor.settings import MODEL_VARIABLE, SafetySettings

NAME: Final = "model"
_TASK: Final = (
    "You review a plan before any of its steps runs. Reject it if a step breaks one of the rules below, or may break "
    "it; otherwise accept it. Whether the plan is any good is not your concern."
)
_VERDICT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "reason": {
            "type": "string",
            "description": "Which step breaks which rule, and why; empty if none does.",
        },
        "accept": {"type": "boolean"},
    },
    "required": ["reason", "accept"],
    "additionalProperties": False,
}


@cache
def settings() -> SafetySettings:
    """The settings of this process, read once."""
    return SafetySettings.read()


@reviewer(NAME, group="model-reviewer", named_only=True)
async def by_model(request: PlanReview, context: Context) -> Review | None:
    """A model rejects a plan that breaks the rules in words, and says which step does.

    A plan without steps breaks none. If there are no rules or no model, or the model cannot be asked, there is no
    review.
    """
    if not request.plan.steps:
        return None
    given = settings()
    answer: dict[str, Any] = await model_client().ask(
        policy_of(given.model, MODEL_VARIABLE),
        await _prompt(request.plan, context),
        context,
        instructions=f"{_TASK}\n\nRules:\n{given.rules_in_words()}\n\n{RULE}",
        output_schema=_VERDICT,
        budget=Budget.within(request.limits),
    )
    if answer["accept"]:
        return Review(reviewer=NAME, verdict=ReviewVerdict.ACCEPT, reason=answer["reason"])
    return Review(
        reviewer=NAME, verdict=ReviewVerdict.REJECT, reason=answer["reason"] or "it breaks the safety rules"
    )


async def _prompt(plan: types.Plan, context: Context) -> str:
    """The whole plan: of one that is shown in part, the rest could be anything."""
    steps = [await visible(step, context) for step in plan.steps]
    return f"{data(_tools(plan, context), name='tools')}\n\n{data(steps, name='plan')}"


def _tools(plan: types.Plan, context: Context) -> dict[str, str]:
    """What the tools do that the plan's steps may run."""
    named = {name for step in plan.steps for name in (step.tool, *step.fallback)}
    wanted = {step.capability for step in plan.steps if step.capability}
    profile = context.definitions.agents.get(context.agent)
    return {
        name: tool.description
        for name, tool in sorted(context.definitions.tools.items())
        if name in named
        or (wanted.intersection(tool.capabilities) and not (profile and refusal(name, profile.tools)))
    }

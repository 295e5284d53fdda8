"""The reviewer `safety`."""

from functools import cache

from orchestrator.sdk import ConfigurationError, Context, PlanReview, Review, ReviewVerdict, reviewer
from orchestrator.sdk.messages import first_of
from orchestrator_services.safety_monitor.review import objections
from orchestrator_services.safety_monitor.rules import CompiledRules, read_rules
from orchestrator_services.safety_monitor.settings import SafetySettings


@cache
def rules() -> CompiledRules:
    """The rules of this process, read once. Raises `ConfigurationError`."""
    return read_rules(SafetySettings.read().rules)


@reviewer("safety", group="safety-monitor")
async def safety(request: PlanReview, context: Context) -> Review:
    """Rejects a plan that breaks rules, and lists every rule that it breaks.

    A rule that names a key which a step's arguments lack does not apply to that step. A rule that cannot be evaluated
    for another reason rejects: an item of a list may lack a key, for example, and an argument that comes from another
    step is null when the plan is reviewed. Rules that cannot be read reject every plan.
    """
    try:
        found = await objections(request.plan, rules(), context)
    except ConfigurationError as error:
        found = list(error.problems)
    return Review(
        reviewer="safety",
        verdict=ReviewVerdict.REJECT if found else ReviewVerdict.ACCEPT,
        reason="; ".join(first_of(found)),
    )

"""Advice of a model: which of the other tools are worth trying."""

from typing import Any, Final

from orchestrator.sdk import Context, Exhausted, FailedCall, Fallback
from orchestrator_services.models import Budget, model_client
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.questions import policy_of
from orchestrator_services.recovery.settings import MODEL_VARIABLE, settings

_TASK: Final = (
    "A tool that ran a step of a plan failed. Other tools could run the step instead: say which of them are worth "
    "trying, and leave out those that would fail for the same reason."
)


async def narrowed(decision: Fallback, failed: FailedCall, context: Context) -> Fallback | Exhausted:
    """The fallback without the tools that would fail too. Raises what the model client raises."""
    answer: dict[str, Any] = await model_client().ask(
        policy_of(settings().model, MODEL_VARIABLE),
        _prompt(failed, context),
        context,
        instructions=f"{_TASK}\n\n{RULE}",
        output_schema=_schema(failed),
        budget=Budget.within(failed.limits),
    )
    ruled_out = [name for name in failed.alternatives if name not in answer["try"]]
    if len(ruled_out) == len(failed.alternatives):
        return Exhausted(f"the other tools would fail too: {answer['reason']}")
    return Fallback((*decision.avoid, *ruled_out), f"{decision.reason}: {answer['reason']}")


def _prompt(failed: FailedCall, context: Context) -> str:
    known = context.definitions.tools
    tools = [
        {"tool": name, "description": known[name].description if name in known else ""}
        for name in failed.alternatives
    ]
    failure = data(failed.failure.message, tool=failed.call.tool, failure=failed.failure.code)
    return f"{failure}\n\n{data(tools, name='other tools')}"


def _schema(failed: FailedCall) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "try": {"type": "array", "items": {"enum": list(failed.alternatives)}},
            "reason": {"type": "string"},
        },
        "required": ["try", "reason"],
        "additionalProperties": False,
    }

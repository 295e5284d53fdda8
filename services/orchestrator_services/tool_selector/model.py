"""The tool selector `model`: a model chooses by what the tools say about themselves."""

import logging
from typing import Any, Final

from orchestrator.sdk import Context, PermanentError, Selection, ToolDefinition, tool_selector
from orchestrator_services.models import Budget, model_client
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.questions import policy_of
from orchestrator_services.tool_selector.settings import MODEL_VARIABLE, settings
from orchestrator_services.tool_selector.strategy import capable, closest_fit

logger: Final = logging.getLogger(__name__)

_TASK: Final = (
    "You choose the tool that runs a step of a plan. All of these tools can take its arguments: choose the one whose "
    "description fits them best."
)


@tool_selector("model")
async def by_model(selection: Selection, context: Context) -> ToolDefinition:
    """A model chooses among the tools with the step's capability, by their descriptions and the step's arguments.

    Where there is no choice the default selector's rule holds, and no model is asked; so it does where the session's
    limits leave nothing for the question. The rule also holds where one of the tools must not run twice: a step that
    is read again after a crash could be given to another tool.
    """
    found = capable(selection)
    if len(found) < 2 or any(tool.at_most_once for tool in found):
        return await closest_fit.choose(selection, context)
    try:
        answer: dict[str, Any] = await model_client().ask(
            policy_of(settings().model, MODEL_VARIABLE),
            _prompt(selection, found),
            context,
            instructions=f"{_TASK}\n\n{RULE}",
            output_schema=_schema(found),
            budget=Budget.within(selection.limits),
        )
    except PermanentError as error:
        if error.code != "limit_reached":
            raise
        logger.info("the rule chooses a tool for the step %s: %s", selection.step.step_id, error)
        return await closest_fit.choose(selection, context)
    return selection.candidates[answer["tool"]]


def _prompt(selection: Selection, found: list[ToolDefinition]) -> str:
    step = selection.step
    tools = [{"tool": tool.name, "description": tool.description} for tool in found]
    parts = [
        f"The step {step.step_id} needs a tool with the capability {step.capability}.",
        data(tools, name="tools"),
        data(selection.literal_arguments, name="arguments"),
    ]
    if selection.bound_arguments:
        names = ", ".join(sorted(selection.bound_arguments))
        parts.append(f"Arguments that come from the steps before: {names}.")
    return "\n\n".join(parts)


def _schema(found: list[ToolDefinition]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"tool": {"enum": [tool.name for tool in found]}},
        "required": ["tool"],
        "additionalProperties": False,
    }

"""Advice of a model: arguments that fit, in place of those that did not."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.sdk import Context, FailedCall, Output, PermanentError, Retry, ToolDefinition, document
from orchestrator.sdk.messages import fill_content, replace, steps_named, types
from orchestrator_services.models import Budget, model_client
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.outputs import rendered
from orchestrator_services.prompting.questions import policy_of
from orchestrator_services.recovery.settings import MODEL_VARIABLE, settings
from orchestrator_services.strategies.tools import READ_ON
from orchestrator_services.tool_selector.arguments import Arguments

_TASK: Final = (
    "The arguments of a step of a plan do not fit its tool. Mend them, and change no more than is needed: the step has "
    'to do what it was meant to do. {"$from": STEP, "at": JSON POINTER} stands for a part of a step\'s output, which '
    "is filled in when the step runs; only steps whose outputs you are shown may be named."
)
_FROM: Final = "$from"
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "possible": {"type": "boolean", "description": "Whether the arguments can be mended."},
        "arguments": {"type": "object", "description": "All arguments of the step, if they can."},
        "reason": {"type": "string", "description": "What was wrong, and what you changed."},
    },
    "required": ["possible", "reason"],
    "additionalProperties": False,
}


async def mended(failed: FailedCall, context: Context) -> Retry | None:
    """Another attempt with other arguments; None where they are not to be changed.

    Raises `PermanentError` with `bad_advice` for arguments that cannot be used, and what the model client raises.
    """
    known = context.definitions.tools
    # What is read in the value store is for the planner to say, which knows the session's own outputs.
    tools = [known[name] for name in failed.tools if name in known and name != READ_ON]
    if failed.arguments is None or not tools or not _may_be_changed(failed, context):
        return None
    given = _with_places(await context.values.load(failed.arguments.body), failed.arguments)
    answer: dict[str, Any] = await model_client().ask(
        policy_of(settings().model, MODEL_VARIABLE),
        await _prompt(failed, given, tools, context),
        context,
        instructions=f"{_TASK}\n\n{RULE}",
        output_schema=_ANSWER,
        budget=Budget.within(failed.limits),
    )
    found = answer.get("arguments")
    if not answer["possible"] or found is None:
        raise PermanentError(f"the arguments cannot be mended: {answer['reason']}", code="bad_advice")
    arguments = document(_with_outputs(found))
    if found == given:
        raise PermanentError("the advice changes nothing", code="bad_advice")
    if strange := sorted(steps_named(arguments) - set(failed.inputs)):
        text = f"the advice uses outputs that the step does not wait for: {', '.join(strange)}"
        raise PermanentError(text, code="bad_advice")
    if problems := await _problems(arguments, tools, context):
        raise PermanentError(f"the mended arguments do not fit either: {problems}", code="bad_advice")
    return Retry(0, f"arguments mended: {answer['reason']}", arguments=arguments)


def _may_be_changed(failed: FailedCall, context: Context) -> bool:
    """Whether the call has attempts left, and no reviewer has accepted the arguments as they are."""
    call = failed.call
    agent = context.definitions.agents.get(context.agent)
    reviewed = agent is None or bool(agent.reviewers)
    return call.attempt - call.spared < call.retry.attempts and not reviewed


async def _prompt(failed: FailedCall, given: Any, tools: Sequence[ToolDefinition], context: Context) -> str:
    """The failure, what the tools take, the arguments, and the outputs that they may use."""
    described = [
        {"tool": tool.name, "description": tool.description, "arguments schema": tool.arguments_schema}
        for tool in tools
    ]
    parts = [
        data(failed.failure.message, failure=failed.failure.code),
        data(described, name="tools"),
        data(given, name="arguments"),
    ]
    for step, value in failed.inputs.items():
        parts.append(rendered(await context.values.load(value), step, ""))
    return "\n\n".join(parts)


async def _problems(arguments: types.Document, tools: Sequence[ToolDefinition], context: Context) -> str:
    """What of the arguments fits none of the tools; empty if one of them takes them."""
    known = Arguments.of(await context.values.load(arguments.body), arguments.references)
    problems = {tool.name: known.problems(tool) for tool in tools}
    if not all(problems.values()):
        return ""
    return "; ".join(f"{name}: {'; '.join(found)}" for name, found in problems.items())


def _with_places(content: Any, arguments: types.Document) -> Any:
    """The arguments with `{"$from": step, "at": pointer}` where they are filled in later."""
    places = {str(index): reference for index, reference in enumerate(arguments.references)}
    marks = {name: {_FROM: one.step_id, "at": one.at} for name, one in places.items()}
    references = [replace(one, step_id=name, at="") for name, one in places.items()]
    return fill_content(content, references, marks)


def _with_outputs(content: Any) -> Any:
    """The same way back."""
    match content:
        case {"$from": str(step)}:
            return Output(step, str(content.get("at") or ""))
        case Mapping():
            return {key: _with_outputs(value) for key, value in content.items()}
        case list():
            return [_with_outputs(value) for value in content]
        case _:
            return content

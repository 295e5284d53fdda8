"""What a model is told about a task."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.sdk import Context, InvalidInput, PermanentError, PlanRequest
from orchestrator.sdk.messages import types
from orchestrator_services.prompting.data import RULE, data, json_text

LAST_TURN: Final = (
    "This is the last turn: no more tools will run. Answer with what you know, and say what is missing."
)


def not_accepted(what: str, feedback: str) -> str:
    """What a model is told whose plan or answer was rejected."""
    return f"Your {what} was not accepted. {feedback}"


def listed(text: str, items: Iterable[str]) -> str:
    """A text with a list below it."""
    return "\n- ".join([text, *items])


def model_of(request: PlanRequest) -> types.ModelPolicy:
    """How the agent thinks. Raises `InvalidInput` for an agent whose profile names no model."""
    if request.model is None:
        raise InvalidInput(
            "the agent has no model: add model: PROVIDER:MODEL to its profile, or choose a planner that needs none",
            code="no_model",
        )
    return request.model


def output_schema_of(model: types.ModelPolicy) -> dict[str, Any] | None:
    """The schema that the result must fit; None for text."""
    if not model.output_schema:
        return None
    schema = _read(model.output_schema)
    if not isinstance(schema, dict):
        raise PermanentError("the agent's output must be a JSON Schema: an object", code="output_schema")
    return schema


async def instructions_for(model: types.ModelPolicy, context: Context, *more: str) -> str:
    """What the model is told with every request: the agent's instructions, its examples, and what holds always."""
    own = await context.values.load(model.instructions)
    examples = await context.values.load(model.examples) or []
    shown = [f"Example\nTask: {one['goal']}\nResult: {json_text(one['result'])}" for one in examples]
    return "\n\n".join(part for part in (own, *more, RULE, *shown) if part)


def task_prompt(request: PlanRequest, model: types.ModelPolicy) -> str:
    """The task: its goal, and what the agent is shown of context and memory."""
    parts = [request.goal]
    if shown := _shown(request.context, model):
        parts.append(data(shown, name="context"))
    if request.memory is not None and model.shows_memory:
        parts.append(data(request.memory, name="memory"))
    return "\n\n".join(parts)


def _shown(context: Mapping[str, Any], model: types.ModelPolicy) -> dict[str, Any]:
    if not model.shows_context:
        return {}
    if not model.context_keys:
        return dict(context)
    return {key: context[key] for key in model.context_keys if key in context}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise PermanentError(
            f"the agent's output schema is not JSON: {error}", code="output_schema"
        ) from error

"""The tools that a model may ask for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.sdk import Context, PlanRequest, ToolDefinition
from orchestrator.sdk.messages import types
from orchestrator_services.policies import refusal
from orchestrator_services.prompting.data import json_text

READ_ON: Final = "values.read"
"""Reads on in an output of which a model was shown the beginning only."""

_READ_ON: Final = ToolDefinition(
    name=READ_ON,
    description="Reads a part of the output of an earlier call that was too large to be shown whole.",
    arguments_schema=json_text(
        {
            "type": "object",
            "properties": {
                "step": {"type": "string", "description": "Step of the output, as its data says."},
                "pointer": {
                    "type": "string",
                    "description": "JSON pointer to the part to read, such as /rows/7; empty is all of it.",
                },
                "offset": {"type": "integer", "minimum": 0, "description": "Characters to skip."},
                "length": {"type": "integer", "minimum": 1, "description": "Characters to read."},
            },
            "required": ["step"],
            "additionalProperties": False,
        }
    ),
)


def reading_on(arguments: Mapping[str, Any], outputs: Mapping[str, types.Value]) -> dict[str, Any]:
    """The arguments of `READ_ON` as it runs: a model names the step of an output, never a place in the value store."""
    value = outputs.get(arguments["step"])
    return {**arguments, "value": None if value is None or value.uri is None else _stored(value)}


def _stored(value: types.Value) -> dict[str, Any]:
    return {"uri": value.uri, "size": value.size, "sha256": value.sha256, "media_type": value.media_type}


def tools_for(request: PlanRequest, context: Context) -> Sequence[ToolDefinition]:
    """The announced tools that the agent's policy allows, by name: the order is part of what providers cache."""
    known = context.definitions.tools
    return [
        _READ_ON if name == READ_ON else known[name]
        for name in sorted(known)
        if not refusal(name, request.tools)
    ]

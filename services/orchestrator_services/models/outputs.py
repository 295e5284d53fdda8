"""Structured output: how a JSON Schema is asked for, and whether an answer fits it."""

import json
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_ai import StructuredDict
from pydantic_ai.exceptions import UserError

from orchestrator.sdk import PermanentError
from orchestrator_services.json_schemas import InvalidSchemaError, explained, mismatches

_ONLY_KEY: Final = "result"
_DEFINITIONS: Final = ("$defs", "definitions")


class Output:
    """An output that must fit a JSON Schema. Models answer with objects: other output is put into one."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Raises `PermanentError` for a schema that cannot be asked for."""
        self._schema = json.dumps(schema)
        self._wrapped = schema.get("type") != "object"
        try:
            mismatches(self._schema, None)
            self.type = StructuredDict(_object(schema) if self._wrapped else dict(schema))
            # Some of what cannot be asked for, such as a schema that contains itself, shows only here.
            TypeAdapter(self.type).json_schema()
        except (InvalidSchemaError, UserError, PydanticUserError, KeyError, RecursionError) as error:
            raise _not_usable(error) from error

    def unwrapped(self, answer: dict[str, Any]) -> Any:
        return answer.get(_ONLY_KEY) if self._wrapped else dict(answer)

    def problems(self, answer: dict[str, Any]) -> list[str]:
        """What in the model's answer does not fit the schema.

        Raises `PermanentError` where that shows that the schema cannot be used, such as one that refers to itself.
        """
        if self._wrapped and answer.keys() != {_ONLY_KEY}:
            return [f"it must be an object with the key {_ONLY_KEY} alone"]
        try:
            return explained(mismatches(self._schema, self.unwrapped(answer)))
        except InvalidSchemaError as error:
            raise _not_usable(error) from error


def _not_usable(error: Exception) -> PermanentError:
    return PermanentError(f"the output schema cannot be used: {error}", code="output_schema")


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    # References point to definitions at the root.
    inner = {name: value for name, value in schema.items() if name not in _DEFINITIONS}
    outer: dict[str, Any] = {name: schema[name] for name in _DEFINITIONS if name in schema}
    return {
        "type": "object",
        "properties": {_ONLY_KEY: inner},
        "required": [_ONLY_KEY],
        "additionalProperties": False,
        **outer,
    }

"""Whether a step's arguments fit a tool, as far as they are known before the step runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonschema.exceptions import ValidationError

from orchestrator.sdk.messages import types
from orchestrator_services.json_schemas import InvalidSchemaError, NotCheckedError, explained, mismatches

_ABOUT_NAMES: Final = frozenset(
    {"required", "additionalProperties", "unevaluatedProperties", "propertyNames"}
)


@dataclass(frozen=True)
class Arguments:
    """Arguments of a step. What comes from other steps is null in `content`: a hole."""

    content: Any
    holes: tuple[tuple[str, ...], ...]
    """Places that are filled in when the step runs: the tokens of each JSON pointer."""

    @classmethod
    def of(cls, content: Any, references: Iterable[types.Reference]) -> "Arguments":
        return cls(content, tuple(_tokens(reference.into) for reference in references))

    @property
    def bound(self) -> frozenset[str]:
        """Names of the arguments with a hole, whole or in part."""
        return frozenset(hole[0] for hole in self.holes if hole)

    @property
    def literal(self) -> Mapping[str, Any]:
        """The arguments that are fully known."""
        if not isinstance(self.content, dict):
            return {}
        return {name: value for name, value in self.content.items() if name not in self.bound}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.content) | self.bound if isinstance(self.content, dict) else self.bound

    def problems(self, tool: types.ToolDefinition) -> list[str]:
        """What does not fit the tool's schema; empty if everything known does."""
        try:
            return self.misfits(tool.arguments_schema)
        except InvalidSchemaError as error:
            return [f"the tool's arguments schema is invalid: {error}"]

    def misfits(self, schema: str) -> list[str]:
        """What does not fit a JSON Schema. Raises `InvalidSchemaError`.

        Of holes only the names are checked: their values are not known yet.
        """
        if () in self.holes:
            return []
        holes = _Holes(self.holes)
        return explained(mismatches(schema, self.content, lambda error: not holes.concern(error)))


class _Holes:
    """Places whose values are not known; both they and the problems may be many."""

    def __init__(self, holes: Iterable[tuple[str, ...]]) -> None:
        self._holes = frozenset(holes)
        self._around = frozenset(hole[:length] for hole in self._holes for length in range(len(hole) + 1))

    def concern(self, error: ValidationError) -> bool:
        """Whether a problem is about a hole, or something that contains one, and not about what is known."""
        if isinstance(error, NotCheckedError):
            return False
        path = tuple(map(str, error.absolute_path))
        if error.validator in _ABOUT_NAMES and path not in self._holes:
            return False
        inside = any(path[:length] in self._holes for length in range(len(path) + 1))
        return inside or path in self._around


def parameters(tool: types.ToolDefinition) -> frozenset[str]:
    """Names of the arguments that a tool takes."""
    try:
        properties = json.loads(tool.arguments_schema).get("properties", {})
    except (ValueError, AttributeError):
        return frozenset()
    return frozenset(properties)


def _tokens(pointer: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])

"""What the YAML grammars of agents and playbooks share: strict models, durations, and readable errors."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Final, get_args, get_origin

import pydantic

from orchestrator.messages.bounds import MOST
from orchestrator.messages.task_bounds import LONGEST_NAME
from orchestrator.messages.types import RetryPolicy
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.yaml_documents import Path

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
STEP_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_-]*$"
ROUTE: Final = r"^((agent|playbook) )?[A-Za-z0-9._*?!\[\]-]+$"
_NAMES: Final = {
    NAME: "use letters, digits, dots, dashes and underscores, a letter or digit first",
    ROUTE: "write a pattern of names, such as support.*, or of one kind: agent support.*, playbook refund-*",
    STEP_NAME: "use letters, digits, dashes and underscores, a letter or underscore first",
}


def _duration(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ValueError("write a duration: a number and a unit, such as 200ms, 10s, 15m, 1h, 2d")
    return milliseconds(given)


def _version(given: Any) -> Any:
    if isinstance(given, float):
        raise ValueError(
            f"write the version in quotes: YAML reads {given} as a number, for which 1.10 and 1.1 are the same"
        )
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


Name = Annotated[str, pydantic.Field(pattern=NAME, max_length=LONGEST_NAME)]
StepName = Annotated[str, pydantic.Field(pattern=STEP_NAME)]
Duration = Annotated[
    int,
    pydantic.BeforeValidator(_duration),
    pydantic.WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"},
                {"type": "integer", "minimum": 0},
            ],
            "description": "A number and a unit (200ms, 10s, 15m, 1.5h, 2d), or milliseconds.",
        }
    ),
]
Version = Annotated[
    str,
    pydantic.Field(pattern=NAME, max_length=LONGEST_NAME),
    pydantic.BeforeValidator(_version),
    pydantic.WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": NAME, "maxLength": LONGEST_NAME}, {"type": "integer"}]}
    ),
]


class Grammar(pydantic.BaseModel):
    """A mapping of the grammar. Unknown keys and wrong types are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Retry(Grammar):
    """How a failed call is retried; what is left out has the platform's default."""

    attempts: int = pydantic.Field(
        default=3, ge=1, le=MOST, description="Attempts in total, including the first."
    )
    initial: Duration = pydantic.Field(default=500, description="Upper limit of the first delay.")
    max: Duration = pydantic.Field(default=30_000, description="Upper limit of every delay.")
    multiplier: float = pydantic.Field(
        default=2.0,
        ge=1.0,
        le=1_000.0,
        allow_inf_nan=False,
        description="Factor from the limit of one delay to the next.",
    )

    def policy(self) -> RetryPolicy:
        return RetryPolicy(
            attempts=self.attempts,
            initial_ms=self.initial,
            max_ms=self.max,
            multiplier=float(self.multiplier),
        )


def mistakes(model: type[Grammar], error: pydantic.ValidationError) -> Iterator[tuple[Path, str]]:
    """Where content does not fit a grammar: the path of each mistake, and what to do."""
    for problem in error.errors(include_url=False):
        path: Path = problem["loc"]
        match problem["type"]:
            case "extra_forbidden":
                yield path, _unknown_key(str(path[-1]), _known_keys(model, path[:-1]))
            case "missing":
                yield path, "this key is required"
            case "value_error":
                yield path, str(problem["ctx"]["error"])
            case "string_pattern_mismatch":
                yield path, _not_matching(problem["input"], problem["ctx"]["pattern"])
            case "string_too_long":
                most = problem["ctx"]["max_length"]
                yield path, f"it has {len(problem['input'])} characters, and may have {most}"
            case _:
                yield path, f"{problem['msg']}, not {problem['input']!r:.80}"


def _not_matching(text: Any, pattern: str) -> str:
    rule = _NAMES.get(pattern)
    return f"{text!r} is not a name: {rule}" if rule else f"{text!r} does not match {pattern}"


def _unknown_key(key: str, known: list[str]) -> str:
    similar = get_close_matches(key, known, n=1)
    if similar:
        return f"unknown key; did you mean {similar[0]}?"
    return f"unknown key; the known keys are {', '.join(known)}"


def _known_keys(model: type[pydantic.BaseModel], path: Path) -> list[str]:
    """Keys that the mapping at a path may have."""
    rest = list(path)
    while rest:
        annotation = model.model_fields[str(rest.pop(0))].annotation
        if get_origin(annotation) in (dict, list):
            rest.pop(0)
        inner = _model_in(annotation)
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)

"""Evaluators: they judge how far a goal is met."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrator.messages import types
from orchestrator.sdk.context import Context
from orchestrator.sdk.roles.functions import RoleFunction, with_context


@dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluator judges. `outputs` and `result` are plain data, references filled."""

    goal: str
    criteria: Sequence[types.Criterion]
    outputs: Mapping[str, Any]
    result: Any
    point: types.EvaluationPoint
    remaining_steps: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the evaluator in the agent's profile."""
    model: types.ModelPolicy | None = None
    """The agent's model, without instructions and examples."""
    conversation: types.Value | None = None
    """Last segment of the planner's conversation; `Conversations` reads it."""
    limits: types.Limits = field(default_factory=types.Limits)
    """What is left of the session's limits."""


@dataclass(frozen=True)
class Evaluator:
    """A named evaluator: `await evaluate(request, context)`."""

    role: ClassVar[str] = "evaluator"

    name: str
    evaluate: Callable[[EvaluationRequest, Context], Awaitable[types.Evaluation]]


def evaluator(name: str) -> Callable[[RoleFunction[EvaluationRequest, types.Evaluation]], Evaluator]:
    """Declares `async def f(request) -> Evaluation`, or `f(request, context)`, as an evaluator."""
    return lambda function: Evaluator(name, with_context(function))

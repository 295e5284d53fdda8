"""Tool selectors: they choose a tool among those that could do a step."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.messages.types import Limits, Step, ToolDefinition
from orchestrator.sdk.context import Context
from orchestrator.sdk.roles.functions import RoleFunction, with_context


@dataclass(frozen=True)
class Selection:
    """What a selector chooses from: the step, the tools it may use, and those to avoid."""

    step: Step
    candidates: Mapping[str, ToolDefinition]
    avoid: frozenset[str]
    literal_arguments: Mapping[str, Any]
    """Arguments whose values the plan has."""
    bound_arguments: frozenset[str]
    """Names of the arguments that come from outputs of other steps."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """The tokens and the cost that a model may use which is asked; None is no limit."""


@dataclass(frozen=True)
class Selector:
    """A named tool selector: `await choose(selection, context)`."""

    role: ClassVar[str] = "selector"

    name: str
    choose: Callable[[Selection, Context], Awaitable[ToolDefinition]]


def tool_selector(name: str) -> Callable[[RoleFunction[Selection, ToolDefinition]], Selector]:
    """Declares `async def f(selection) -> ToolDefinition`, or `f(selection, context)`, as a tool selector."""
    return lambda function: Selector(name, with_context(function))

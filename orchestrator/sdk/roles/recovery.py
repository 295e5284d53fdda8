"""Recovery strategies: they decide what follows when a call has failed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from orchestrator.messages.types import Call, CallKind, Document, Failure, Limits, Value
from orchestrator.sdk.context import Context
from orchestrator.sdk.roles.functions import RoleFunction, with_context


@dataclass(frozen=True)
class FailedCall:
    """A call that failed."""

    call: Call
    kind: CallKind
    """What the call waited for when it failed."""
    failure: Failure
    alternatives: Sequence[str]
    """Other tools that could run the step."""
    arguments: Document | None = None
    """If they did not fit (INVALID_INPUT): the arguments of the step, with references still to be filled. None after a
    run of a tool that must run at most once: another run is for the planner to decide."""
    inputs: Mapping[str, Value] = field(default_factory=dict)
    """With the arguments: the outputs that they may use, by step."""
    tools: Sequence[str] = ()
    """With the arguments: the tools that they did not fit."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """For attempts at steps: the tokens and the cost that a model may use which is asked; None is no limit."""


@dataclass(frozen=True)
class Retry:
    """Try again after a delay, milliseconds.

    A `spared` attempt counts for nothing. `arguments` replace those of the step, from now on; they may bind outputs
    of steps that it waited for anyway.
    """

    delay_ms: int
    reason: str = ""
    spared: bool = False
    arguments: Document | None = None


@dataclass(frozen=True)
class Fallback:
    """Try another tool at once, none of `avoid`."""

    avoid: Sequence[str]
    reason: str = ""


@dataclass(frozen=True)
class Exhausted:
    """Nothing is left to try."""

    reason: str = ""


Recovery: TypeAlias = Retry | Fallback | Exhausted


@dataclass(frozen=True)
class RecoveryStrategy:
    """A named recovery strategy: `await decide(failed, context)`."""

    role: ClassVar[str] = "recovery strategy"

    name: str
    decide: Callable[[FailedCall, Context], Awaitable[Recovery]]


def recovery(name: str) -> Callable[[RoleFunction[FailedCall, Recovery]], RecoveryStrategy]:
    """Declares `async def f(failed) -> Retry | Fallback | Exhausted`, or `f(failed, context)`, as a recovery
    strategy."""
    return lambda function: RecoveryStrategy(name, with_context(function))

"""The other plug-ins: selectors, evaluators, recovery strategies, reviewers, subscribers, middleware."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from msgspec.structs import replace

from orchestrator.errors import ConfigurationError
from orchestrator.messages import types
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.catalogue import matching
from orchestrator.messages.events import PlanCreated, PlanReviewed
from orchestrator.messages.types import Call, Failure, Review, ReviewVerdict, ToolDefinition
from orchestrator.sdk.context import Context
from orchestrator.sdk.planning import Plan, Planner
from orchestrator.sdk.service import Service


@dataclass(frozen=True)
class Selection:
    """What a selector chooses from: the step, the tools it may use and those not to be chosen again."""

    step: types.Step
    candidates: Mapping[str, ToolDefinition]
    avoid: frozenset[str]
    literal_arguments: Mapping[str, Any]
    """Arguments known before the run; bound ones are missing."""
    bound_arguments: frozenset[str]


@dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluator looks at. `outputs` and `result` are plain data, references filled."""

    goal: str
    criteria: Sequence[types.Criterion]
    outputs: Mapping[str, Any]
    result: Any
    point: types.EvaluationPoint
    remaining_steps: Sequence[str]


@dataclass(frozen=True)
class FailedCall:
    """A call that failed, for a recovery strategy."""

    call: Call
    kind: types.CallKind
    """What the call waited for when it failed."""
    failure: Failure
    alternatives: Sequence[str]
    """Other tools that could run the step."""


@dataclass(frozen=True)
class Retry:
    """Try again after a delay."""

    delay_ms: int
    reason: str = ""


@dataclass(frozen=True)
class Fallback:
    """Try at once with another tool than these."""

    avoid: Sequence[str]
    reason: str = ""


@dataclass(frozen=True)
class Exhausted:
    """Nothing is left to try."""

    reason: str = ""


Recovery: TypeAlias = Retry | Fallback | Exhausted


@dataclass(frozen=True)
class PlanReview:
    """A plan to be reviewed."""

    plan: types.Plan
    revision: int


@dataclass(frozen=True)
class Selector:
    name: str
    choose: Callable[[Selection, Context], Awaitable[ToolDefinition]]


@dataclass(frozen=True)
class Evaluator:
    name: str
    evaluate: Callable[[EvaluationRequest, Context], Awaitable[types.Evaluation]]


@dataclass(frozen=True)
class RecoveryStrategy:
    name: str
    decide: Callable[[FailedCall, Context], Awaitable[Recovery]]


@dataclass(frozen=True)
class Reviewer:
    """A reviewer of plans, in a consumer group of its own.

    One that raises gives no review: its time-out then means what the agent's profile says.
    """

    name: str
    review: Callable[[PlanReview, Context], Awaitable[Review]]
    group: str

    def service(self) -> Service:
        """The service that asks it about every plan and writes its reviews."""
        service = Service(self.group)

        @service.on(PlanCreated)
        async def review_plan(message: PlanCreated, context: Context) -> PlanReviewed:
            started = context.now()
            revision = message.call.revision
            review = await self.review(PlanReview(plan=message.plan, revision=revision), context)
            return context.write(
                PlanReviewed,
                plan_call_id=message.call.call_id,
                revision=revision,
                review=replace(review, reviewer=self.name),
                usage=context.usage(started),
            )

        return service


@dataclass(frozen=True)
class Subscriber:
    """A function that sees every event whose name matches, in a consumer group of its own."""

    pattern: str
    group: str
    ordered: bool
    handle: Callable[["ObservedEvent", Context], Awaitable[Any]]

    def service(self) -> Service:
        """The service that shows it every session's messages that match. What it returns is not sent.

        Raises `ConfigurationError` if no message matches.
        """
        service = Service(self.group, ordered=self.ordered)
        messages = [
            entry.message for entry in matching(self.pattern) if issubclass(entry.message, Command | Event)
        ]
        if not messages:
            raise ConfigurationError(
                f"subscriber {self.group} waits for {self.pattern}, and no message is called that"
            )

        @service.on(*messages)
        async def observe(message: Command | Event, context: Context) -> None:
            await self.handle(ObservedEvent(message), context)

        return service


@dataclass(frozen=True)
class ObservedEvent:
    """A message as subscribers see it. Fields that its kind does not have read as None."""

    message: Event | Command

    @property
    def type(self) -> str:
        """Short name, such as `ToolFailed`."""
        return type(self.message).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "message"), name, None)


Next: TypeAlias = Callable[[Message, Context], Awaitable[Sequence[Message]]]


@dataclass(frozen=True)
class Middleware:
    """Wraps every handler and its emission: `await handle(message, context, call_next)`."""

    name: str
    services: frozenset[str]
    """Services it wraps; empty is all of them."""
    handle: Callable[[Message, Context, Next], Awaitable[Sequence[Message]]]


def planner(name: str) -> Callable[[Callable[..., Awaitable[Plan]]], Planner]:
    """Declares `async def f(request) -> Plan`, or `f(request, context)`, as a planner."""
    return lambda function: Planner(name, _with_context(function))


def tool_selector(name: str) -> Callable[[Callable[..., Awaitable[ToolDefinition]]], Selector]:
    """Declares `async def f(selection) -> ToolDefinition` as a selector."""
    return lambda function: Selector(name, _with_context(function))


def evaluator(name: str) -> Callable[[Callable[..., Awaitable[types.Evaluation]]], Evaluator]:
    """Declares `async def f(request) -> Evaluation` as an evaluator."""
    return lambda function: Evaluator(name, _with_context(function))


def recovery(name: str) -> Callable[[Callable[..., Awaitable[Recovery]]], RecoveryStrategy]:
    """Declares `async def f(failed) -> Retry | Fallback | Exhausted` as a recovery strategy."""
    return lambda function: RecoveryStrategy(name, _with_context(function))


def reviewer(name: str, *, group: str = "") -> Callable[[Callable[..., Awaitable[Review | None]]], Reviewer]:
    """Declares `async def f(review) -> Review | None` as a reviewer; None accepts.

    `group` names its consumer group (`reviewer-NAME` by default).
    """

    def declare(function: Callable[..., Awaitable[Review | None]]) -> Reviewer:
        inner = _with_context(function)

        async def review(request: PlanReview, context: Context) -> Review:
            verdict: Review | None = await inner(request, context)
            return verdict or Review(reviewer=name, verdict=ReviewVerdict.ACCEPT)

        return Reviewer(name, review, group or f"reviewer-{name}")

    return declare


def subscriber(
    pattern: str, *, group: str = "", ordered: bool = False
) -> Callable[[Callable[..., Awaitable[Any]]], Subscriber]:
    """Declares `async def f(event)` to be called for every message whose name matches a shell pattern.

    `group` names its consumer group (the function's name by default); every group sees every event.
    """
    return lambda function: Subscriber(
        pattern, group or function.__name__.replace("_", "-"), ordered, _with_context(function)
    )


def middleware(*services: str) -> Callable[[Callable[..., Awaitable[Sequence[Message]]]], Middleware]:
    """Declares `async def f(message, context, call_next)` around handlers of these services, or of all."""
    return lambda function: Middleware(function.__name__, frozenset(services), function)


def _with_context(function: Callable[..., Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    """The function, called with the context only if it takes one."""
    if len(inspect.signature(function).parameters) > 1:
        return function

    async def without_context(request: Any, _context: Context) -> Any:
        return await function(request)

    return without_context

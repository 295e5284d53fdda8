"""The recovery service: asks the strategy about every failed call, and writes what it decided."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from orchestrator.sdk import (
    CallKind,
    Exhausted,
    FailedCall,
    Failure,
    Fallback,
    PermanentError,
    Recovery,
    RecoveryStrategy,
    Retry,
    Service,
    ServiceContext,
    contained,
    described,
    readable,
)
from orchestrator.sdk.messages import Message, events, rest_of, share_of, types
from orchestrator_services.recovery.settings import settings
from orchestrator_services.recovery.strategy import repeatable

service = Service(
    "recovery",
    writes=(events.RetryScheduled, events.FallbackChosen, events.RecoveryExhausted, events.ModelProgressed),
)

MOST_DELAY_MS: Final = 30 * 24 * 3_600_000
"""No retry waits longer than a month, whatever a strategy says."""
NO_USAGE: Final = types.Usage()
_MOST_HALVINGS: Final = 53
"""Nothing is left of any limit then. Who writes a failure may say that recovery was asked two billion times."""


@service.on(events.PlanningFailed)
async def planning_failed(message: events.PlanningFailed, context: ServiceContext) -> Message:
    return await _decided(_failed(message.call, CallKind.PLAN, message.failure), context)


@service.on(events.SelectionFailed)
async def selection_failed(message: events.SelectionFailed, context: ServiceContext) -> Message:
    failed = replace(
        _failed(message.call, CallKind.SELECTION, message.failure, message.usage),
        arguments=message.arguments,
        inputs=message.inputs,
        tools=message.tools,
    )
    return await _decided(failed, context)


@service.on(events.ToolFailed)
async def tool_failed(message: events.ToolFailed, context: ServiceContext) -> Message:
    failed = _failed(message.call, CallKind.TOOL, message.failure)
    # Executors keep arguments back after a run that must be the only one. An older one may not have known the tool.
    has_begun = message.usage.tool_calls > 0
    if message.arguments is not None and (not has_begun or repeatable(failed, context)):
        failed = replace(failed, arguments=message.arguments, inputs=message.inputs, tools=(message.tool,))
    return await _decided(failed, context)


@service.on(events.EvaluationFailed)
async def evaluation_failed(message: events.EvaluationFailed, context: ServiceContext) -> Message:
    return await _decided(_failed(message.call, CallKind.EVALUATION, message.failure), context)


@service.on(events.CallTimedOut)
async def call_timed_out(message: events.CallTimedOut, context: ServiceContext) -> Message | None:
    """No reply came in time. `next` is the call as it waits now and says what failed; without it nothing waits."""
    call = message.next
    if call is None or call.kind is not CallKind.RECOVERY or call.failure is None:
        return None
    return await _decided(_failed(call, call.failed_kind, call.failure), context)


def _failed(call: types.Call, kind: CallKind, failure: Failure, chosen: types.Usage = NO_USAGE) -> FailedCall:
    """The failed call; `chosen` is what was used since its limits were set."""
    rest = rest_of(call.limits, chosen)
    # Half of what is left: where nobody replies recovery is asked again, and the first question may still be paid.
    halvings = min(max(1, call.asked), _MOST_HALVINGS)
    limits = share_of(rest, 2**halvings) if rest else types.Limits()
    return FailedCall(call=call, kind=kind, failure=failure, alternatives=call.alternatives, limits=limits)


async def _decided(failed: FailedCall, context: ServiceContext) -> Message:
    started, call = context.now(), failed.call
    decision = await _asked(failed, context)
    # Rules use nothing, and their time is not worth a field in every message.
    usage = context.usage(started) if context.used.model_requests else context.used
    match decision:
        case Retry():
            return context.write(
                events.RetryScheduled,
                call=call,
                delay_ms=min(max(0, decision.delay_ms), MOST_DELAY_MS),
                arguments=decision.arguments,
                spared=decision.spared,
                reason=decision.reason,
                usage=usage,
            )
        case Fallback():
            return context.write(
                events.FallbackChosen,
                call=call,
                avoid=tuple(decision.avoid),
                reason=decision.reason,
                usage=usage,
            )
        case Exhausted():
            return context.write(
                events.RecoveryExhausted,
                call=call,
                failure=failed.failure,
                reason=decision.reason,
                usage=usage,
            )
        case _:
            assert_never(decision)


async def _asked(failed: FailedCall, context: ServiceContext) -> Recovery:
    """The strategy's decision. If the strategy is missing or broken, nothing is left to try: a session must not
    hang."""
    name = settings().strategy
    try:
        strategy = context.plugins.get(RecoveryStrategy, name)
    except PermanentError as error:
        return Exhausted(str(error))
    try:
        decision: Any = await contained(strategy.decide(failed, context))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return Exhausted(f"the recovery strategy {name} failed: {described(error)}")
    if not isinstance(decision, Recovery):
        return Exhausted(
            f"the recovery strategy {name} returned {type(decision).__name__}, not Retry, Fallback or Exhausted"
        )
    if problem := _unusable(decision):
        return Exhausted(f"the recovery strategy {name} returned {problem}")
    return replace(decision, reason=readable(str(decision.reason)))


def _unusable(decision: Recovery) -> str:
    """What in a decision cannot be sent; empty if all can."""
    delay: Any = getattr(decision, "delay_ms", 0)
    given: Any = getattr(decision, "arguments", None)
    avoid: Any = getattr(decision, "avoid", ())
    if not isinstance(delay, int):
        return f"Retry with the delay {delay!r}, which is not an integer"
    if not isinstance(given, types.Document | None):
        return f"Retry with arguments of type {type(given).__name__}: make them with document({{…}})"
    if not isinstance(avoid, Sequence) or not all(isinstance(one, str) for one in avoid):
        return "Fallback with something to avoid that is not the name of a tool"
    return ""

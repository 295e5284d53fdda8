"""The default strategy: what follows each kind of failure."""

from typing import Final, assert_never

from orchestrator.sdk import (
    CallKind,
    Context,
    Exhausted,
    FailedCall,
    FailureKind,
    Fallback,
    Recovery,
    Retry,
    recovery,
)
from orchestrator.sdk.messages import LONGEST_WAIT_MS
from orchestrator_services.recovery.backoff import backoff_ms

NOT_BEGUN: Final = frozenset(
    {"rate_limited", "overloaded", "model_unavailable", "server_unavailable", "tools_not_announced"}
)
"""Codes of transient failures after which nothing has been done and nothing spent."""


@recovery("default")
async def by_class_of_failure(failed: FailedCall, context: Context) -> Recovery:
    """TRANSIENT: retries with backoff, then another tool. PERMANENT: another tool at once.

    A request that nothing has begun to work on, because its other side is away or takes no more, spends no attempt:
    it is tried again until the session's deadline.

    INVALID_INPUT: exhausted, because the arguments would be the same. UNKNOWN_OUTCOME: like TRANSIENT if the call
    may run twice, exhausted otherwise. A failure of an unknown kind is treated as PERMANENT.
    """
    match failed.failure.kind:
        case FailureKind.TRANSIENT:
            return _again(failed) or _otherwise(failed)
        case FailureKind.UNKNOWN_OUTCOME:
            if not repeatable(failed, context):
                return Exhausted("the outcome is unknown, and the call must not run twice")
            return _again(failed) or _otherwise(failed)
        case FailureKind.INVALID_INPUT:
            return Exhausted("the same input would fail again: change it")
        case _:
            return _otherwise(failed)


def _again(failed: FailedCall) -> Retry | None:
    """A retry while the call has attempts left. Attempts count across all tools of a step."""
    call, failure = failed.call, failed.failure
    # A failure may name any number: one of other code did not pass the bound of ours.
    asked = min(failure.retry_after_ms or 0, LONGEST_WAIT_MS)
    delay = max(backoff_ms(call.retry, call.attempt, call.call_id), asked)
    # A tool that says so of itself has run, and another one may be free.
    if failure.code in NOT_BEGUN and failed.kind is not CallKind.TOOL:
        return Retry(delay, f"{failure.code}: the attempt counts for nothing", spared=True)
    attempt = call.attempt - call.spared
    if attempt >= call.retry.attempts:
        return None
    return Retry(delay, f"attempt {attempt} of {call.retry.attempts} failed: {failure.code}")


def _otherwise(failed: FailedCall) -> Fallback | Exhausted:
    """Another tool, if there is one."""
    tool, call = failed.call.tool, failed.call
    if tool and failed.alternatives:
        return Fallback((*call.avoid, tool), f"{tool} failed ({failed.failure.code}): try another tool")
    if failed.failure.kind in (FailureKind.TRANSIENT, FailureKind.UNKNOWN_OUTCOME):
        return Exhausted(f"all {call.retry.attempts} attempts failed")
    return Exhausted("the call would fail again" + (", and no other tool is left" if tool else ""))


def repeatable(failed: FailedCall, context: Context) -> bool:
    """Whether the call may run twice. A tool that is not announced may be at-most-once, so its calls may not."""
    match failed.kind:
        case CallKind.PLAN | CallKind.REVIEW | CallKind.SELECTION | CallKind.EVALUATION | CallKind.RECOVERY:
            return True
        case CallKind.TOOL:
            tool = context.definitions.tools.get(failed.call.tool)
            return tool is not None and not tool.at_most_once
        case CallKind.UNKNOWN:
            return False
        case kind:
            assert_never(kind)

"""The default strategy: what each class of failure is answered with."""

from typing import assert_never

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
from orchestrator_services.recovery.backoff import backoff_ms


@recovery("default")
async def by_class_of_failure(failed: FailedCall, context: Context) -> Recovery:
    """TRANSIENT: again after a while, then with another tool. PERMANENT: with another tool at once.

    INVALID_INPUT: nothing, for the arguments would be the same. UNKNOWN_OUTCOME: like TRANSIENT where running
    twice does no harm, otherwise nothing. A failure of a class that we do not know is taken as PERMANENT.
    """
    match failed.failure.kind:
        case FailureKind.TRANSIENT:
            return _again(failed) or _otherwise(failed)
        case FailureKind.UNKNOWN_OUTCOME:
            if not _repeatable(failed, context):
                return Exhausted("nobody knows whether it happened, and it must not happen twice")
            return _again(failed) or _otherwise(failed)
        case FailureKind.INVALID_INPUT:
            return Exhausted("the same input would fail again: it has to be changed")
        case _:
            return _otherwise(failed)


def _again(failed: FailedCall) -> Retry | None:
    """A retry, as long as the call has attempts left. Attempts count over all tools of a step."""
    call = failed.call
    if call.attempt >= call.retry.attempts:
        return None
    return Retry(
        backoff_ms(call.retry, call.attempt, call.call_id),
        f"attempt {call.attempt} of {call.retry.attempts} failed: {failed.failure.code}",
    )


def _otherwise(failed: FailedCall) -> Fallback | Exhausted:
    """Another tool, if there is one."""
    tool, call = failed.call.tool, failed.call
    if tool and failed.alternatives:
        return Fallback((*call.avoid, tool), f"{tool} failed ({failed.failure.code}): try another tool")
    if failed.failure.kind in (FailureKind.TRANSIENT, FailureKind.UNKNOWN_OUTCOME):
        return Exhausted(f"all {call.retry.attempts} attempts are used up")
    return Exhausted("it would fail again" + (", and no other tool is left" if tool else ""))


def _repeatable(failed: FailedCall, context: Context) -> bool:
    """Whether running it twice does no harm. Of a tool that no process announces any more we cannot know."""
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

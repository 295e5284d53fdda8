"""How long to wait before the next attempt."""

from typing import Final

from orchestrator.sdk import RetryPolicy
from orchestrator.sdk.messages import derived_id

_SIXTEEN_BITS: Final = 1 << 16


def backoff_ms(policy: RetryPolicy, attempt: int, call_id: str) -> int:
    """Delay after the failed attempt number `attempt` (from 1), milliseconds.

    Exponential backoff with full jitter: from 0 to min(max, initial * multiplier ** (attempt - 1)), as in
    "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). The jitter is derived from the id of the call,
    so a failure that is handled twice gets the same delay.
    """
    return round(bound_ms(policy, attempt) * _fraction(call_id))


def bound_ms(policy: RetryPolicy, attempt: int) -> int:
    """Upper limit of the delay after an attempt, milliseconds."""
    try:
        grown = policy.initial_ms * policy.multiplier ** max(0, attempt - 1)
    except OverflowError:
        return policy.max_ms
    return int(min(policy.max_ms, max(0, grown)))


def _fraction(call_id: str) -> float:
    """A pseudo-random number from 0.0 to 1.0, derived from an id."""
    return int(derived_id("jitter", call_id)[:4], 16) / (_SIXTEEN_BITS - 1)

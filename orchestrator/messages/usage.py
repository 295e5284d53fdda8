"""Sums of usage. A sum that no field could hold stays at the largest that one can."""

from typing import Final, overload

from msgspec.structs import replace

from orchestrator.messages.ranges import INT, LONG
from orchestrator.messages.types import Limits, Usage

NO_USAGE: Final = Usage()
MOST_COUNTED: Final = LONG
"""The most tokens, and millionths of a dollar, that a message can report."""
_SMALL: Final = frozenset({"tool_calls", "model_requests", "requests_unsettled"})


def total_usage(*usages: Usage) -> Usage:
    """The sum of these. Most of them are zero: no selection uses anything, few calls reserve."""
    total = NO_USAGE
    for usage in usages:
        if usage is NO_USAGE or usage == NO_USAGE:
            continue
        total = _sum(total, usage)
    return total


def of_models(usage: Usage) -> Usage:
    """What of it models used, without runs of tools and time."""
    return replace(usage, tool_calls=0, duration_ms=0)


def tokens_of(usage: Usage) -> int:
    """Input and output tokens together."""
    return usage.tokens_input + usage.tokens_output


def tokens_at_most(usage: Usage) -> int:
    """Tokens that were used, or may have been by requests of which no response came: what limits count."""
    return tokens_of(usage) + usage.tokens_unsettled


def cost_at_most(usage: Usage) -> int:
    """The same of the cost, micro USD."""
    return usage.cost_micro_usd + usage.cost_unsettled_micro_usd


def not_counted(usage: Usage) -> str:
    """The first number that is no whole number from 0, with its name; empty if there is none. Types of Python are not
    checked when a message is made, and what is not counted cannot be sent."""
    for name in usage.__struct_fields__:
        value = getattr(usage, name)
        if type(value) is not int or value < 0:
            return f"{name} {value!r:.50}"
    return ""


def is_sendable(usage: Usage) -> bool:
    """Whether a message can hold it."""
    return not not_counted(usage) and all(
        getattr(usage, name) <= (INT if name in _SMALL else LONG) for name in usage.__struct_fields__
    )


@overload
def rest_of(limits: Limits, used: Usage) -> Limits: ...
@overload
def rest_of(limits: Limits | None, used: Usage) -> Limits | None: ...
def rest_of(limits: Limits | None, used: Usage) -> Limits | None:
    """The tokens and the cost that are left of these limits."""
    if limits is None:
        return None
    return replace(
        limits,
        tokens=left_of(limits.tokens, tokens_at_most(used)),
        cost_micro_usd=left_of(limits.cost_micro_usd, cost_at_most(used)),
    )


def share_of(limits: Limits, parts: int) -> Limits:
    """One of so many equal parts of the tokens and the cost."""
    tokens, cost = limits.tokens, limits.cost_micro_usd
    return replace(
        limits,
        tokens=None if tokens is None else tokens // parts,
        cost_micro_usd=None if cost is None else cost // parts,
    )


def micro_usd(usd: float) -> int:
    """An amount of US dollars in millionths, the unit of usage and limits."""
    return round(usd * 1_000_000)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        tool_calls=min(one.tool_calls + other.tool_calls, INT),
        model_requests=min(one.model_requests + other.model_requests, INT),
        tokens_input=min(one.tokens_input + other.tokens_input, LONG),
        tokens_cached=min(one.tokens_cached + other.tokens_cached, LONG),
        tokens_output=min(one.tokens_output + other.tokens_output, LONG),
        cost_micro_usd=min(one.cost_micro_usd + other.cost_micro_usd, LONG),
        duration_ms=min(one.duration_ms + other.duration_ms, LONG),
        requests_unsettled=min(one.requests_unsettled + other.requests_unsettled, INT),
        tokens_unsettled=min(one.tokens_unsettled + other.tokens_unsettled, LONG),
        cost_unsettled_micro_usd=min(one.cost_unsettled_micro_usd + other.cost_unsettled_micro_usd, LONG),
    )


def left_of(limit: int | None, used: int) -> int | None:
    """What is left of one limit; None is no limit."""
    return None if limit is None else max(0, limit - used)

"""Limits of a session: resolved at acceptance, checked before every call."""

from msgspec.structs import replace

from orchestrator.messages.types import AgentProfile, Failure, FailureKind, Limits, Usage
from orchestrator.messages.usage import cost_at_most, left_of, rest_of, share_of, tokens_at_most, total_usage
from orchestrator.saga.state import Session, Task

PLATFORM_LIMITS = Limits(
    deadline_ms=3_600_000, step_timeout_ms=60_000, tool_calls=1_000, parallel_steps=10, turns=100
)
"""Limits where neither agent nor task sets one. Tokens and cost have none."""


def reserved(session: Session) -> Usage:
    """What is reserved for open calls, and held for models that are asked about them."""
    calls = session.calls.values()
    return total_usage(
        *(call.reserved for call in calls if call.reserved),
        *(
            Usage(tokens_input=call.limits.tokens or 0, cost_micro_usd=call.limits.cost_micro_usd or 0)
            for call in calls
            if call.limits
        ),
    )


def advice_limits(session: Session, task: Task, taken: Usage, parts: int) -> Limits | None:
    """What models may use that are asked about one call: an equal part of what is left when `taken` is.

    None where the session limits neither tokens nor cost.
    """
    if not limits_models(task):
        return None
    own = Limits(tokens=task.limits.tokens, cost_micro_usd=task.limits.cost_micro_usd)
    return share_of(rest_of(own, total_usage(session.used, reserved(session), taken)), parts)


def limits_models(task: Task) -> bool:
    """Whether the session limits what models may use."""
    return task.limits.tokens is not None or task.limits.cost_micro_usd is not None


def resolved_limits(profile: AgentProfile, task: Limits | None) -> Limits:
    """The limits of a session: the agent's or the platform's, and the task's where they are tighter."""
    tighter = task or Limits()

    def bound(name: str) -> int | None:
        own = getattr(profile.limits, name)
        base = getattr(PLATFORM_LIMITS, name) if own is None else own
        return _lowest(base, getattr(tighter, name))

    return Limits(**{name: bound(name) for name in Limits.__struct_fields__})


def limits_left(session: Session, task: Task, turn: int) -> Limits:
    """What is left of the limits, in a turn: its turns are those that may follow."""
    used = total_usage(session.used, reserved(session))
    return replace(
        rest_of(task.limits, used),
        tool_calls=left_of(task.limits.tool_calls, used.tool_calls),
        turns=left_of(task.limits.turns, turn),
    )


def excess(session: Session, task: Task, wanted: Usage) -> Failure | None:
    """Why a call that may use `wanted` does not fit under the limits; None where it does."""
    total = total_usage(session.used, reserved(session), wanted)
    limits = task.limits
    checks = (
        ("tool_calls", limits.tool_calls, total.tool_calls, wanted.tool_calls),
        ("tokens", limits.tokens, tokens_at_most(total), tokens_at_most(wanted)),
        ("cost_micro_usd", limits.cost_micro_usd, cost_at_most(total), cost_at_most(wanted)),
    )
    for name, limit, projected, extra in checks:
        # A call that reserves nothing of a limited quantity may start only while some of it is left.
        used_up = extra == 0 and name != "tool_calls" and projected >= (limit or 0) > 0
        if limit is not None and (projected > limit or used_up):
            return _reached(limit, name)
    return None


def excess_of_turns(task: Task, turn: int) -> Failure | None:
    """Why a turn of this number does not fit under the limits; None where it does."""
    limit = task.limits.turns
    return _reached(limit, "turns") if limit is not None and turn > limit else None


def _reached(limit: int, name: str) -> Failure:
    return Failure(
        kind=FailureKind.PERMANENT,
        code="limit_reached",
        message=f"the session's limit of {limit} {name} leaves no room for the next call",
    )


def _lowest(*bounds: int | None) -> int | None:
    given = [bound for bound in bounds if bound is not None]
    return min(given) if given else None

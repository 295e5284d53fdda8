"""The ranges of what a task says in numbers: beyond them are mistakes, such as seconds where microseconds are meant."""

from typing import Final

from orchestrator.clock import unix_micros
from orchestrator.errors import ConfigurationError
from orchestrator.messages.bounds import LONGEST_MS, MOST, MOST_TOKENS, MOST_USD
from orchestrator.messages.types import Limits

_FEWEST_MICROS: Final = 10**14
"""In March 1973: the same number of milliseconds is in the year 5138, of seconds beyond all years."""
_LIMITS: Final = {
    "deadline_ms": (0, LONGEST_MS),
    "step_timeout_ms": (0, LONGEST_MS),
    "tool_calls": (0, MOST),
    "tokens": (0, MOST_TOKENS),
    "cost_micro_usd": (0, MOST_USD * 1_000_000),
    "parallel_steps": (1, MOST),
    "turns": (1, MOST),
}


def check_ranges(limits: Limits | None, *, not_before: int | None, not_after: int | None) -> None:
    """Raises `ConfigurationError` with every number that is out of range. Times are Unix microseconds."""
    problems = [
        *_limit_problems(limits or Limits()),
        *_time_problems("not_before", not_before),
        *_time_problems("not_after", not_after),
    ]
    if problems:
        raise ConfigurationError(*problems)


def _limit_problems(limits: Limits) -> list[str]:
    return [
        f"limits.{name} must be from {least} to {most}"
        for name, (least, most) in _LIMITS.items()
        if (value := getattr(limits, name)) is not None and not least <= value <= most
    ]


def _time_problems(name: str, micros: int | None) -> list[str]:
    if micros is None:
        return []
    if micros < _FEWEST_MICROS:
        return [
            f"{name} is a time before 1973: write Unix time in microseconds, not in seconds or milliseconds"
        ]
    if micros > unix_micros() + LONGEST_MS * 1_000:
        return [f"{name} is more than a hundred years away: write Unix time in microseconds"]
    return []

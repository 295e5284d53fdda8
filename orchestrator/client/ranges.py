"""The ranges of what a task says in numbers: beyond them are mistakes, such as seconds where microseconds are meant."""

from collections.abc import Mapping
from typing import Final

from orchestrator.clock import unix_micros
from orchestrator.errors import ConfigurationError
from orchestrator.messages.bounds import LONGEST_DAYS, LONGEST_MS
from orchestrator.messages.limit_bounds import limit_problems
from orchestrator.messages.ranges import LATEST
from orchestrator.messages.task_bounds import text_problems
from orchestrator.messages.types import Limits

_FEWEST_MICROS: Final = 10**14
"""In March 1973: the same number of milliseconds is in the year 5138, of seconds beyond all years."""


def check_ranges(
    limits: Limits | None,
    *,
    not_before: int | None,
    not_after: int | None,
    goal: str = "",
    labels: Mapping[str, str] | None = None,
) -> None:
    """Raises `ConfigurationError` with everything that is out of range. Times are Unix microseconds."""
    problems = [
        *text_problems(goal, labels),
        *limit_problems(limits or Limits()),
        *_time_problems("not_before", not_before),
        *_time_problems("not_after", not_after),
    ]
    if not_before is not None and unix_micros() + LONGEST_MS * 1_000 < not_before <= LATEST:
        problems.append(f"not_before is more than {LONGEST_DAYS} days ahead: submit the task later")
    if problems:
        raise ConfigurationError(*problems)


def _time_problems(name: str, micros: int | None) -> list[str]:
    if micros is None or _FEWEST_MICROS <= micros <= LATEST:
        return []
    if micros > LATEST:
        return [f"{name} is after the year 9999: write Unix time in microseconds"]
    return [f"{name} is a time before 1973: write Unix time in microseconds, not in seconds or milliseconds"]

"""Times and limits of a task that a program submits."""

import time

import pytest

from orchestrator.client.ranges import check_ranges
from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import Limits

SECONDS = 1_700_000_000
"""A time in seconds: what a test is called must not change with the clock."""


@pytest.mark.parametrize(
    ("micros", "reason"),
    [
        (SECONDS, "not in seconds or milliseconds"),
        (SECONDS * 1_000, "not in seconds or milliseconds"),
        (0, "before 1973"),
        (-1, "before 1973"),
        (SECONDS * 1_000_000_000, "after the year 9999"),
        (2**62, "after the year 9999"),
        (10**400, "after the year 9999"),
    ],
)
def test_a_time_in_another_unit_is_refused(micros: int, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"not_before is .*{reason}"):
        check_ranges(None, not_before=micros, not_after=None)
    with pytest.raises(ConfigurationError, match=rf"not_after is .*{reason}"):
        check_ranges(None, not_before=None, not_after=micros)


@pytest.mark.parametrize(
    "name", ["deadline_ms", "step_timeout_ms", "tool_calls", "tokens", "cost_micro_usd", "turns"]
)
@pytest.mark.parametrize("value", [-1, 2**62, 10**400])
def test_a_limit_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"limits.{name} must be from"):
        check_ranges(Limits(**{name: value}), not_before=None, not_after=None)


def test_texts_that_are_too_long_are_named_together() -> None:
    labels = {str(number): "" for number in range(100)}
    with pytest.raises(ConfigurationError, match=r"the goal has 65,537 characters.*\n?.*100 labels"):
        check_ranges(None, not_before=None, not_after=None, goal="x" * 65_537, labels=labels)


def test_a_task_begins_within_a_year_and_may_be_worth_something_for_longer() -> None:
    far = (int(time.time()) + 400 * 86_400) * 1_000_000

    with pytest.raises(ConfigurationError, match="not_before is more than 366 days ahead"):
        check_ranges(None, not_before=far, not_after=None)
    check_ranges(None, not_before=None, not_after=far)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_ranges(Limits(tokens=-1, parallel_steps=0), not_before=1, not_after=2)

    assert len(refused.value.problems) == 4


def test_what_is_in_range_passes() -> None:
    check_ranges(
        Limits(deadline_ms=0, tokens=10**15),
        not_before=int(time.time()) * 1_000_000,
        not_after=(int(time.time()) + 86_400) * 1_000_000,
    )

"""Durations and numbers as people write them: what is out of range is said, and nothing ends in a traceback."""

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.messages.bounds import LONGEST_MS
from orchestrator.sdk import tool
from orchestrator.sdk.documents import parse_documents
from orchestrator.sdk.durations import milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200ms", 200),
        ("1.5h", 5_400_000),
        (" 2 d ", 172_800_000),
        (17, 17),
        ("0s", 0),
        ("366d", LONGEST_MS),
    ],
)
def test_a_duration(text: str | int, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9" * 400 + "d", "is too long: a duration is at most 366d"),
        ("999999999d", "is too long"),
        ("366.001d", "is too long"),
        (LONGEST_MS + 1, "is too long"),
        (10**400, "the duration is too long"),
        (-1, "cannot be negative"),
        (-(10**400), "cannot be negative"),
        ("-5s", "is not a duration: write a number and a unit"),
        ("1e3s", "is not a duration"),
        ("nan", "is not a duration"),
        ("infs", "is not a duration"),
        ("٣s", "is not a duration"),
        ("", "is not a duration"),
    ],
)
def test_what_is_no_duration(text: str | int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        milliseconds(text)


def test_the_reason_is_short_however_long_the_text() -> None:
    with pytest.raises(ValueError, match="is not a duration") as refused:
        milliseconds("x" * 100_000)

    assert len(str(refused.value)) < 200


LARGE = ["-1", "1e400", ".inf", "99999999999999999999", "9" * 400]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(("limits: {{deadline: {}}}", value) for value in (*LARGE, "999999999d", "9" * 400 + "d", "-5s")),
        *(("limits: {{step_timeout: {}}}", value) for value in (*LARGE, "999999999d")),
        *(("limits: {{tool_calls: {}}}", value) for value in LARGE),
        *(("limits: {{tokens: {}}}", value) for value in LARGE),
        *(("limits: {{cost_usd: {}}}", value) for value in ("-1", "1e400", "1e300")),
        *(("limits: {{parallel_steps: {}}}", value) for value in ("0", *LARGE)),
        *(("limits: {{turns: {}}}", value) for value in ("0", *LARGE)),
        *(("planning_timeout: {}", value) for value in (*LARGE, "999999999d")),
        *(("retry: {{attempts: {}}}", value) for value in ("0", *LARGE)),
        *(("retry: {{initial: {}}}", value) for value in ("999999999d", *LARGE)),
        *(("retry: {{multiplier: {}}}", value) for value in ("0.5", "1e400", "1e300")),
        *(("evaluate: {{max_revisions: {}}}", value) for value in ("0", *LARGE)),
        *(("evaluate: {{timeout: {}}}", value) for value in ("999999999d", *LARGE)),
        *(("reviewers: [{{name: x, timeout: {}}}]", value) for value in ("999999999d", *LARGE)),
    ],
)
def test_a_number_of_an_agent_that_is_out_of_range_names_its_line(place: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_documents(f"agent: a\nplanner: p\n{place.format(value)}\n", "agent.yaml")

    (problem,) = refused.value.problems
    assert problem.startswith("agent.yaml:3: ")


@pytest.mark.parametrize("value", ["999999999d", "9" * 400 + "d", "-5s"])
def test_a_timeout_of_a_step_that_is_out_of_range_names_its_line(value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_documents(f"playbook: p\nsteps:\n  one:\n    tool: t\n    timeout: {value}\n", "p.yaml")

    (problem,) = refused.value.problems
    assert problem.startswith("p.yaml:5: ")


def test_a_timeout_of_a_tool_is_checked_where_it_is_declared() -> None:
    with pytest.raises((ConfigurationError, ValueError), match="is too long"):

        @tool("slow", capability="x", timeout="999999999d")
        def slow() -> int:
            """Takes long."""
            return 1

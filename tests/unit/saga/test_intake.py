"""A task is accepted, with everything resolved that must not change later, or refused with a reason."""

from typing import Any

import pytest

from orchestrator.messages import events
from orchestrator.messages.types import Failure, FailureKind, Limits
from orchestrator.saga import Outcome, Submission
from orchestrator.saga.inputs import Input
from orchestrator.testing.scenario import (
    ORIGINAL,
    SECOND,
    START,
    Scenario,
    agent,
    bounded,
    given,
    task,
    task_of_nobody,
)


def test_the_tightest_limit_holds_with_the_platforms_as_default() -> None:
    profile = bounded(tool_calls=5, tokens=1_000, deadline_ms=60_000)
    session = given(task(profile=profile, limits=Limits(tool_calls=3, tokens=9_999, cost_micro_usd=7)))
    received = session.wrote(events.TaskReceived)
    assert received.limits == Limits(
        deadline_ms=60_000,
        step_timeout_ms=60_000,
        tool_calls=3,
        tokens=1_000,
        cost_micro_usd=7,
        parallel_steps=10,
        turns=100,
    )
    assert received.profile == profile
    assert received.submitted == ORIGINAL


def test_the_deadline_counts_from_acceptance() -> None:
    session = given(task(profile=bounded(deadline_ms=60_000)))
    assert session.wrote(events.TaskReceived).deadline_at == START + 60 * SECOND


def test_not_after_may_come_before_the_agents_deadline() -> None:
    session = given(task(not_after=START + 5 * SECOND))
    assert session.wrote(events.TaskReceived).deadline_at == START + 5 * SECOND


def test_the_deadline_of_a_task_for_later_counts_from_its_start() -> None:
    session = given(task(profile=bounded(deadline_ms=60_000), not_before=START + 10 * SECOND))
    session.then("TaskReceived")
    assert session.state.task is not None
    assert session.state.task.deadline_at == START + 70 * SECOND
    assert session.due_in == 10.0
    session.after("9s").then_nothing()
    session.after("1s").then("PlanRequested plan 1", "CreatePlan plan 1")


def test_the_agents_playbook_is_used_where_the_task_names_none() -> None:
    profile = agent(playbook="usual")
    assert given(task(profile=profile)).wrote(events.TaskReceived).playbook == "usual"
    assert given(task(profile=profile, playbook="mine")).wrote(events.TaskReceived).playbook == "mine"


def test_a_task_without_a_goal_is_refused() -> None:
    _refused(given(task("  ")), "no_goal", "the task has no goal")


def test_a_task_for_an_unknown_agent_is_refused() -> None:
    _refused(given(task_of_nobody()), "unknown_agent", "there is no agent nobody")


def test_a_task_that_is_too_late_is_refused() -> None:
    _refused(given(task(not_after=START)), "expired", "not_after had passed")


def test_a_given_refusal_comes_before_all_checks() -> None:
    failure = Failure(kind=FailureKind.INVALID_INPUT, code="too_large", message="the context is too large")

    def say(scenario: Scenario) -> Input:
        said = task()(scenario)
        assert isinstance(said, Submission)
        return Submission(task=said.task, profile=said.profile, original=said.original, refusal=failure)

    _refused(given(say), "too_large", "the context is too large")


def test_a_second_task_of_the_same_session_is_dropped() -> None:
    session = given(task())
    session.when(task("another")).then_nothing()
    assert session.state.task is not None
    assert session.state.task.goal == "find out"


def test_a_refused_task_that_is_repeated_stays_refused() -> None:
    given(task_of_nobody()).when(task()).then_nothing()


def _refused(session: Scenario, code: str, words: str) -> None:
    session.then("TaskRefused")
    refused = session.wrote(events.TaskRefused)
    assert refused.failure.code == code
    assert words in refused.failure.message
    assert refused.submitted == ORIGINAL
    assert session.state.outcome is Outcome.REFUSED
    assert session.state.give_up == refused.failure
    assert session.due_in is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"not_before": 2**62}, "too_far_ahead"),
        ({"not_before": START + 367 * 86_400 * SECOND}, "too_far_ahead"),
        ({"limits": Limits(deadline_ms=-1)}, "limit_out_of_range"),
        ({"limits": Limits(tokens=-5)}, "limit_out_of_range"),
        ({"limits": Limits(parallel_steps=0)}, "limit_out_of_range"),
    ],
)
def test_a_task_out_of_range_is_refused(fields: dict[str, Any], code: str) -> None:
    session = given(task(**fields))
    assert session.wrote(events.TaskRefused).failure.code == code


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"goal": "x" * 65_537}, "the goal has 65,537 characters"),
        ({"labels": {str(number): "" for number in range(65)}}, "the task has 65 labels"),
        ({"labels": {"x" * 256: ""}}, "a label's name and value may have 255 characters"),
        ({"labels": {"x": "x" * 256}}, "a label's name and value may have 255 characters"),
    ],
)
def test_a_task_with_more_text_than_a_session_keeps_is_refused(fields: dict[str, Any], words: str) -> None:
    _refused(given(task(**fields)), "text_too_long", words)


def test_an_agent_may_not_take_longer_than_a_year() -> None:
    session = given(task(profile=bounded(deadline_ms=367 * 86_400_000)))
    assert session.wrote(events.TaskRefused).failure.code == "limit_out_of_range"


def test_a_task_may_begin_in_a_year() -> None:
    assert given(task(not_before=START + 365 * 86_400 * SECOND)).wrote(events.TaskReceived)

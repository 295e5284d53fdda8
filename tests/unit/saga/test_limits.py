"""Limits: a call that does not fit waits for running steps, or the session is escalated."""

import pytest

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    EvaluationPoint,
    EvaluationPolicy,
    Limits,
    NextMove,
    ReviewPolicy,
    Usage,
)
from orchestrator.testing.scenario import (
    ONE_RUN,
    agent,
    answered,
    bounded,
    completed,
    done,
    evaluated,
    failed,
    given,
    plan_created,
    planning_failed,
    retry,
    reviewed,
    selected,
    step,
    task,
)

EXPENSIVE = Usage(tool_calls=1, tokens_input=300, tokens_output=300)


def test_no_more_steps_run_in_parallel_than_allowed() -> None:
    session = given(task(profile=bounded(parallel_steps=2))).when(plan_created("a", "b", "c"))
    session.then("PlanAccepted plan 1", "PlanStepReady a", "PlanStepReady b")
    session.when(*done("b")).then("StepAssigned b", "StepSucceeded b", "PlanStepReady c")


def test_tool_runs_are_limited_retries_included() -> None:
    session = given(task(profile=bounded(tool_calls=1)), plan_created("a"), failed("a"), retry("1s"))
    session.after("1s").then("TaskEscalated", "MessageDeadLettered")
    failure = session.wrote(events.TaskEscalated).failure
    assert failure.code == "limit_reached"
    assert failure.message == "the session's limit of 1 tool_calls leaves no room for the next call"


def test_a_step_that_does_not_fit_beside_another_waits_for_it() -> None:
    session = given(task(profile=bounded(tool_calls=1)), plan_created("a", "b"))
    assert [call.step_id for call in session.state.calls.values()] == ["a"]
    session.when(*done("a")).then("StepAssigned a", "StepSucceeded a", "TaskEscalated", "MessageDeadLettered")


def test_the_unused_reservation_of_a_step_is_released() -> None:
    reserve = Usage(tokens_input=600)
    session = given(
        task(profile=bounded(tokens=1_000)),
        plan_created(step("a", reserve=reserve), step("b", reserve=reserve)),
    )
    assert [call.step_id for call in session.state.calls.values()] == ["a"]
    session.when(*done("a", usage=Usage(tool_calls=1, tokens_input=400)))
    assert session.wrote(events.PlanStepReady).call.step_id == "b"


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        (Limits(tokens=500), Usage(tokens_input=250, tokens_output=250)),
        (Limits(cost_micro_usd=90), Usage(cost_micro_usd=90)),
    ],
)
def test_nothing_starts_once_a_limit_is_used_up(limits: Limits, used: Usage) -> None:
    session = given(task(limits=limits)).when(plan_created("a", usage=used))
    session.then("PlanAccepted plan 1", "TaskEscalated", "MessageDeadLettered")


def test_failed_planning_that_used_up_the_limit_is_not_tried_again() -> None:
    session = given(
        task(limits=Limits(tokens=10)), planning_failed(usage=Usage(tokens_input=10)), retry("1s")
    )
    session.after("1s").then("TaskEscalated", "MessageDeadLettered")


def test_a_result_that_used_up_the_limits_is_evaluated() -> None:
    session = given(task(limits=Limits(tokens=600)), plan_created("a"), selected("a"))
    session.when(completed("a", usage=EXPENSIVE)).then(
        "StepSucceeded a", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"
    )
    assert session.wrote(commands.EvaluateTask).limits.tokens == 0
    session.when(evaluated()).then("EvaluationRecorded evaluation-1", "TaskCompleted")


def test_an_answer_whose_reviewer_used_up_the_limits_completes() -> None:
    profile = agent(reviewers=(ReviewPolicy(reviewer="safety"),), limits=Limits(tokens=600))
    session = given(task(profile=profile), answered("found", usage=Usage(tokens_input=300)))
    session.when(reviewed("safety", usage=Usage(tokens_input=300)), evaluated())
    assert session.wrote(events.TaskCompleted)


def test_a_session_that_uses_no_tokens_runs_under_a_limit_of_zero() -> None:
    session = given(
        task(limits=Limits(tokens=0, cost_micro_usd=0)), plan_created("a"), *done("a"), evaluated()
    )
    assert session.wrote(events.TaskCompleted)


def test_evaluators_get_what_is_left_of_the_limits() -> None:
    session = given(task(limits=Limits(tokens=1_000)), plan_created("a"), selected("a"))

    session.when(completed("a", usage=Usage(tokens_input=200, tokens_output=50)))

    assert session.wrote(commands.EvaluateTask).limits.tokens == 750


def test_planners_get_what_is_left_of_the_limits() -> None:
    session = given(task(limits=Limits(tool_calls=5, tokens=1_000)), plan_created("a"), selected("a"))
    session.when(completed("a", usage=EXPENSIVE), evaluated(NextMove.REVISE))
    left = session.wrote(commands.CreatePlan).limits
    assert (left.tool_calls, left.tokens) == (4, 400)


def test_what_requests_without_a_response_may_have_used_counts_against_the_limits() -> None:
    lost = Usage(requests_unsettled=1, tokens_unsettled=700, cost_unsettled_micro_usd=7)
    limits = Limits(tokens=1_000, cost_micro_usd=10)
    session = given(task(limits=limits), planning_failed(usage=lost), retry("1s")).after("1s")
    left = session.wrote(commands.CreatePlan).limits
    assert (left.tokens, left.cost_micro_usd) == (300, 3)

    session.when(planning_failed(usage=lost), retry("1s")).after("1s")
    session.then("TaskEscalated", "MessageDeadLettered")
    assert session.state.used.tokens_input == 0


def test_the_session_counts_its_usage() -> None:
    session = given(task(), plan_created("a", usage=Usage(tokens_input=5)), *done("a"), evaluated())
    assert session.wrote(events.TaskCompleted).total == Usage(tool_calls=1, tokens_input=5, duration_ms=5)
    assert session.state.used == Usage(tool_calls=1, tokens_input=5, duration_ms=ONE_RUN.duration_ms)


def test_a_revision_that_does_not_fit_voids_the_open_calls_once() -> None:
    session = given(task(limits=Limits(tokens=600)), plan_created("a"), selected("a"))
    session.when(completed("a", usage=Usage(tool_calls=1, tokens_input=599)))
    session.when(evaluated(NextMove.REVISE, usage=Usage(tokens_input=1))).then(
        "EvaluationRecorded evaluation-1", "TaskEscalated", "MessageDeadLettered"
    )


def test_models_that_are_asked_about_a_step_may_use_an_equal_share_of_what_is_left() -> None:
    """Of what no step reserves, for each step that could start and for what comes between them."""
    session = given(
        task(limits=Limits(tokens=1_000, cost_micro_usd=100)),
        plan_created("a", step("b", reserve=Usage(tokens_input=100)), usage=Usage(tokens_input=600)),
    )
    first, second = (call.limits for call in session.state.calls.values())
    assert (first, second) == (Limits(tokens=100, cost_micro_usd=33), Limits(tokens=100, cost_micro_usd=33))


def test_without_limits_models_are_told_none() -> None:
    session = given(task(), plan_created("a"))
    assert session.wrote(events.PlanStepReady).call.limits is None


def test_what_a_selection_leaves_is_left_for_advice() -> None:
    session = given(task(limits=Limits(tokens=1_000)), plan_created("a"))
    session.when(selected("a", usage=Usage(tokens_input=200)))
    assert session.wrote(events.StepAssigned).call.limits == Limits(tokens=300)
    session.when(failed("a"))
    assert session.wrote(events.CallFailed).call.limits == Limits(tokens=300)


def test_what_is_held_for_models_comes_back() -> None:
    """The second step needs it, and waits."""
    session = given(task(profile=bounded(tokens=1_000, parallel_steps=2)), plan_created("a"))
    held = session.wrote(events.PlanStepReady).call.limits
    assert held == Limits(tokens=500)
    session.when(*done("a"))
    assert session.wrote(commands.EvaluateTask).limits.tokens == 1_000


def test_an_attempt_waits_for_what_is_held_for_a_call_in_recovery() -> None:
    """Models may be asked about the other step: what they do not use comes back."""
    big = step("a", reserve=Usage(tokens_input=900))
    session = given(
        task(limits=Limits(tokens=1_000)), plan_created(big, "b", step("c", needs=("b",))), failed("a")
    )
    session.when(*done("b"), failed("c"), retry("0s", "a")).then(
        "StepAssigned b",
        "StepSucceeded b",
        "PlanStepReady c",
        "CallFailed c",
        "RecoveryRecorded a",
    )
    session.when(retry("9s", "c")).then("RecoveryRecorded c", "PlanStepReady a #2")


def test_reviewers_share_what_the_plan_leaves() -> None:
    reviewers = (ReviewPolicy(reviewer="safety"), ReviewPolicy(reviewer="style"))
    profile = agent(reviewers=reviewers, limits=Limits(tokens=1_000))
    session = given(task(profile=profile), plan_created("a", usage=Usage(tokens_input=400)))
    assert [call.limits for call in session.state.calls.values()] == [Limits(tokens=300)] * 2


@pytest.mark.parametrize("used", [100, 700])
def test_a_revision_may_use_what_was_held_for_models_that_it_voids(used: int) -> None:
    each_step = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP), limits=Limits(tokens=1_000))
    session = given(task(profile=each_step), plan_created("a", "b"), selected("a"))
    session.when(completed("a", usage=Usage(tool_calls=1, tokens_input=used)))

    session.when(evaluated(NextMove.REVISE, reason="again"))

    assert session.wrote(commands.CreatePlan).limits.tokens == 1_000 - used


def test_what_a_reviewer_used_that_nobody_named_is_not_the_session_s() -> None:
    session = given(task(limits=Limits(tokens=500)))
    review = session.prepared(reviewed("stranger", usage=Usage(model_requests=1, tokens_input=600)))
    session.when(plan_created("a"))

    session.when(review)

    assert session.state.used.tokens_input == 0
    assert session.state.escalated is None

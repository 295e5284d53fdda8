"""Plans: which are valid, who reviews them, and what follows from a rejection."""

import pytest

from orchestrator.messages import commands, events, identity
from orchestrator.messages.types import (
    CallKind,
    EvaluationPolicy,
    FailureKind,
    Review,
    ReviewPolicy,
    ReviewVerdict,
    Step,
    Usage,
)
from orchestrator.testing.scenario import (
    SESSION,
    agent,
    cancel,
    exhausted,
    given,
    plan_created,
    planning_failed,
    retry,
    review_failed,
    reviewed,
    step,
    task,
)

REVIEWED = agent(
    reviewers=(
        ReviewPolicy(reviewer="safety", timeout_ms=30_000, on_timeout=ReviewVerdict.REJECT),
        ReviewPolicy(reviewer="style", timeout_ms=10_000, on_timeout=ReviewVerdict.ACCEPT),
    )
)
CYCLE = (step("a", needs=("b",)), step("b", needs=("a",)))


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (CYCLE, "the steps wait for each other"),
        ((), "the plan has neither steps nor a result"),
        ((step("a"), step("a")), "two steps are named a"),
        ((step("a", needs=("b",)),), "step a needs b, which is not a step of the plan"),
        ((step("a", uses={"x": "b"}),), "step a needs b, which is not a step of the plan"),
        ((step("a", capability="c", tool="t"),), "step a must name a tool or a capability, and not both"),
    ],
)
def test_an_invalid_plan_is_rejected_and_another_requested(steps: tuple[Step, ...], problem: str) -> None:
    session = given(task()).when(plan_created(*steps))
    session.then("PlanRejected plan 1", "PlanRequested plan 2", "CreatePlan plan 2")
    rejected = session.wrote(events.PlanRejected)
    assert rejected.failure.code == "invalid_plan"
    assert problem in rejected.failure.message
    assert problem in session.wrote(commands.CreatePlan).feedback


def test_the_usage_of_an_invalid_plan_counts_once() -> None:
    session = given(task())
    plan = session.prepared(plan_created(*CYCLE, usage=Usage(tokens_output=9)))
    session.when(plan).when(plan).then_nothing()
    assert session.state.used == Usage(tokens_output=9)


def test_a_planner_that_only_makes_invalid_plans_is_escalated() -> None:
    session = given(task(profile=agent(evaluation=EvaluationPolicy(max_revisions=1))))
    session.when(plan_created(*CYCLE)).then("PlanRejected plan 1", "TaskEscalated", "MessageDeadLettered")
    assert "wait for each other" in session.wrote(events.TaskEscalated).failure.message


def test_a_plan_waits_for_all_reviews_that_the_agent_names() -> None:
    session = given(task(profile=REVIEWED)).when(plan_created("a")).then("PlanProposed plan 1")
    assert session.state.plan is None
    session.when(reviewed("style")).then("ReviewRecorded style")
    session.when(reviewed("safety")).then("ReviewRecorded safety", "PlanAccepted plan 1", "PlanStepReady a")


def test_one_rejection_decides() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    session.when(reviewed("safety", ReviewVerdict.REJECT, "deletes files")).then(
        "ReviewRecorded safety", "PlanRejected plan 1", "PlanRequested plan 2", "CreatePlan plan 2"
    )
    assert session.wrote(commands.CreatePlan).feedback == "safety: deletes files"
    rejected = session.wrote(events.PlanRejected)
    assert rejected.reviews == (
        Review(reviewer="safety", verdict=ReviewVerdict.REJECT, reason="deletes files"),
    )


def test_an_unknown_verdict_does_not_accept() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    session.when(reviewed("safety", ReviewVerdict.UNKNOWN))
    assert session.wrote(events.PlanRejected)


def test_rejected_plans_are_escalated_after_the_agents_number_of_revisions() -> None:
    profile = agent(
        reviewers=(ReviewPolicy(reviewer="safety"),), evaluation=EvaluationPolicy(max_revisions=2)
    )
    session = given(task(profile=profile), plan_created("a"), reviewed("safety", ReviewVerdict.REJECT))
    session.when(plan_created("a"), reviewed("safety", ReviewVerdict.REJECT, "still no")).then(
        "PlanProposed plan 2",
        "ReviewRecorded safety",
        "PlanRejected plan 2",
        "TaskEscalated",
        "MessageDeadLettered",
    )
    assert session.wrote(events.TaskEscalated).failure.code == "revisions_exhausted"


def test_a_silent_reviewer_counts_as_its_policy_says() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    session.after("10s").then("CallTimedOut REVIEW style", "ReviewRecorded style")
    assert session.wrote(events.ReviewRecorded).review.verdict is ReviewVerdict.ACCEPT
    session.after("20s").then(
        "CallTimedOut REVIEW safety",
        "ReviewRecorded safety",
        "PlanRejected plan 1",
        "PlanRequested plan 2",
        "CreatePlan plan 2",
    )
    assert session.wrote(events.ReviewRecorded).review.verdict is ReviewVerdict.REJECT


@pytest.mark.parametrize(
    ("reviewer", "verdict", "follows"),
    [
        ("style", ReviewVerdict.ACCEPT, ()),
        (
            "safety",
            ReviewVerdict.REJECT,
            ("PlanRejected plan 1", "PlanRequested plan 2", "CreatePlan plan 2"),
        ),
    ],
)
def test_a_failed_review_counts_at_once_as_its_policy_says(
    reviewer: str, verdict: ReviewVerdict, follows: tuple[str, ...]
) -> None:
    used = Usage(model_requests=1, tokens_input=70)
    session = given(task(profile=REVIEWED), plan_created("a"))

    session.when(review_failed(reviewer, used)).then(f"ReviewRecorded {reviewer}", *follows)

    review = Review(reviewer=reviewer, verdict=verdict, reason="no review: it did not work")
    assert session.wrote(events.ReviewRecorded).review == review
    assert session.state.used == used


def test_a_late_failure_of_a_review_changes_nothing_but_its_usage_counts() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    late = session.prepared(review_failed("style", Usage(model_requests=1, tokens_input=70)))
    session.after("10s")

    session.when(late, late).then("UsageRecorded style")

    assert session.state.used.tokens_input == 70


def test_a_failed_review_that_nobody_asked_for_does_not_count() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    session.when(review_failed("stranger", Usage(tokens_input=70))).then_nothing()


def test_a_late_review_changes_nothing_but_its_usage_counts() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    late = session.prepared(reviewed("style", ReviewVerdict.REJECT))
    expensive = session.prepared(reviewed("safety", usage=Usage(tokens_input=70)))
    session.after("30s")
    session.when(late).then_nothing()
    session.when(expensive, expensive).then("UsageRecorded safety")
    assert session.state.used.tokens_input == 70


def test_only_reviewers_that_the_agent_names_count() -> None:
    session = given(task(profile=REVIEWED), plan_created("a"))
    session.when(reviewed("stranger", ReviewVerdict.REJECT)).then_nothing()


def test_a_review_of_another_plan_does_not_count() -> None:
    """The first attempt's plan came too late; its review must not let the second attempt's plan pass."""
    session = given(task(profile=REVIEWED))
    session.when(planning_failed(), retry("1s")).after("1s").then(
        "PlanRequested plan 1 #2", "CreatePlan plan 1 #2"
    )
    session.when(plan_created("a")).then("PlanProposed plan 1 #2")
    of_first = session.prepared(
        reviewed("safety", plan_call_id=identity.call_id(SESSION, CallKind.PLAN, 1, "", 1))
    )
    session.when(of_first).then_nothing()
    session.when(reviewed("safety"), reviewed("style")).then(
        "ReviewRecorded safety", "ReviewRecorded style", "PlanAccepted plan 1 #2", "PlanStepReady a"
    )


def test_failed_planning_is_retried() -> None:
    session = given(task())
    session.when(planning_failed()).then("CallFailed plan 1")
    session.when(retry("1s")).then("RecoveryRecorded plan 1")
    session.after("1s").then("PlanRequested plan 1 #2", "CreatePlan plan 1 #2")
    session.when(plan_created("a")).then("PlanAccepted plan 1 #2", "PlanStepReady a")


def test_planning_that_cannot_succeed_is_escalated() -> None:
    session = given(task(), planning_failed(FailureKind.INVALID_INPUT))
    session.when(exhausted("no such playbook")).then(
        "RecoveryRecorded plan 1", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.wrote(events.TaskEscalated).failure.message == "it did not work (no such playbook)"


def test_a_plan_after_the_cancel_is_dropped() -> None:
    session = given(task())
    late = session.prepared(plan_created("a"))
    session.when(cancel(), late).then("CancelRequested", "CallsVoided", "TaskCancelled")

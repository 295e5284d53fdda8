"""Turns: a planner that sees what the steps of its open plan came to, and thinks again."""

import pytest

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    EvaluationPoint,
    EvaluationPolicy,
    FailureKind,
    Limits,
    ModelPolicy,
    NextMove,
    OnExhausted,
    ReviewPolicy,
    ReviewVerdict,
    Usage,
    Value,
)
from orchestrator.messages.values import json_value, read_json
from orchestrator.testing.scenario import (
    agent,
    answered,
    bounded,
    cancel,
    completed,
    done,
    evaluated,
    exhausted,
    failed,
    given,
    plan_created,
    planning_failed,
    retry,
    reviewed,
    selected,
    step,
    task,
    time_comes,
    turn,
)

FIRST = Value(uri="values:one", sha256="1", size=1)
SECOND = Value(uri="values:two", sha256="2", size=2)
ESCALATES = agent(on_exhausted=OnExhausted.ESCALATE)


def test_the_planner_is_asked_for_the_next_turn_when_the_steps_of_its_open_plan_are_done() -> None:
    session = given(task(), turn("a", "b")).when(*done("b", "two"), *done("a", "one"))
    session.then(
        *("StepAssigned b", "StepSucceeded b", "StepAssigned a", "StepSucceeded a"),
        *("PlanRequested plan 2", "CreatePlan plan 2"),
    )
    request = session.wrote(commands.CreatePlan)
    assert request.turn == session.wrote(events.PlanRequested).turn == 2
    assert [(one.step_id, one.tool, one.attempts) for one in request.outcomes] == [
        ("a", "work", 1),
        ("b", "work", 1),
    ]
    assert [read_json(one.output) for one in request.outcomes] == ["one", "two"]


def test_a_plan_without_steps_ends_the_turns_with_its_result() -> None:
    session = given(task(), turn("a"), *done("a")).when(answered("42"))
    session.then("PlanAccepted plan 2", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1")
    result = session.wrote(commands.EvaluateTask).result
    assert read_json(result.body) == "42"
    session.when(evaluated(result=json_value("42"))).then("EvaluationRecorded evaluation-1", "TaskCompleted")


def test_a_task_may_be_answered_in_the_first_turn() -> None:
    session = given(task()).when(answered("at once"), evaluated())
    assert session.state.ended


def test_an_open_plan_with_a_result_is_done_when_all_its_steps_succeed() -> None:
    session = given(task(), turn("a", result="a")).when(*done("a"))
    session.then(
        *("StepAssigned a", "StepSucceeded a"),
        *("EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"),
    )


def test_an_open_plan_with_a_result_is_thought_over_when_a_step_fails() -> None:
    session = given(task(), turn("a", "b", result="a"), *done("b"), selected("a")).when(
        failed("a", FailureKind.PERMANENT), exhausted()
    )
    session.then(
        *("CallFailed a", "RecoveryRecorded a", "StepFailed a"),
        *("PlanRequested plan 2", "CreatePlan plan 2"),
    )


def test_a_failed_step_is_reported_to_the_planner_with_its_reason() -> None:
    session = given(task(), turn("a"), selected("a"), failed("a", FailureKind.PERMANENT)).when(exhausted())
    (outcome,) = session.wrote(commands.CreatePlan).outcomes
    assert outcome.output is None
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.message) == ("broken", "it did not work")


def test_the_other_steps_of_an_open_plan_go_on_when_one_fails() -> None:
    plan = turn("a", "b", step("after_a", needs=("a",)), step("after_b", needs=("b",)))
    session = given(task(), plan, selected("a"), selected("b"))
    session.when(failed("a", FailureKind.PERMANENT), exhausted()).then(
        "CallFailed a", "RecoveryRecorded a", "StepFailed a"
    )
    session.when(completed("b"), *done("after_b"))
    outcomes = {one.step_id: one for one in session.wrote(commands.CreatePlan).outcomes}
    assert outcomes["after_b"].output is not None
    never_ran = outcomes["after_a"]
    assert (never_ran.attempts, never_ran.output, never_ran.failure) == (0, None, None)


def test_a_step_whose_recovery_is_silent_is_reported_too() -> None:
    session = given(task(), turn("a"), selected("a"), failed("a"))
    session.when(time_comes(), time_comes(), time_comes())
    session.then(
        *["CallTimedOut RECOVERY a"] * 3, "StepFailed a", "PlanRequested plan 2", "CreatePlan plan 2"
    )


def test_an_agent_may_have_exhausted_steps_escalated() -> None:
    session = given(task(profile=ESCALATES), turn("a"), selected("a"), failed("a")).when(exhausted())
    session.then("RecoveryRecorded a", "StepFailed a", "TaskEscalated", "MessageDeadLettered")


def test_a_failed_step_of_a_closed_plan_escalates() -> None:
    session = given(task(), plan_created("a"), selected("a"), failed("a")).when(exhausted())
    session.then("RecoveryRecorded a", "StepFailed a", "TaskEscalated", "MessageDeadLettered")


def test_a_planning_call_that_is_given_up_on_escalates() -> None:
    session = given(task(), turn("a"), *done("a"), planning_failed()).when(exhausted())
    session.then("RecoveryRecorded plan 2", "TaskEscalated", "MessageDeadLettered")


def test_steps_of_open_plans_are_not_evaluated_between_turns() -> None:
    each_step = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))
    session = given(task(profile=each_step), turn("a", step("b", needs=("a",))))
    session.when(*done("a")).then("StepAssigned a", "StepSucceeded a", "PlanStepReady b")


def test_turns_are_bounded_by_their_own_limit() -> None:
    session = given(task(profile=bounded(turns=2)), turn("a"), *done("a"), turn("b")).when(*done("b"))
    session.then("StepAssigned b", "StepSucceeded b", "TaskEscalated", "MessageDeadLettered")
    escalated = session.wrote(events.TaskEscalated)
    assert escalated.failure.code == "limit_reached"
    assert "2 turns" in escalated.failure.message


def test_a_planner_is_told_how_many_turns_may_follow() -> None:
    session = given(task(profile=bounded(turns=2)))
    assert session.wrote(commands.CreatePlan).limits.turns == 1
    session.when(turn("a"), *done("a"))
    assert session.wrote(commands.CreatePlan).limits.turns == 0


def test_turns_do_not_use_up_revisions() -> None:
    profile = agent(evaluation=EvaluationPolicy(max_revisions=2))
    session = given(task(profile=profile))
    for _ in range(5):
        session.when(turn("a"), *done("a"))
    session.when(answered(), evaluated(NextMove.REVISE, reason="too short"))
    session.then(
        *("PlanAccepted plan 6", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"),
        *("EvaluationRecorded evaluation-1", "PlanRequested plan 7", "CreatePlan plan 7"),
    )
    request = session.wrote(commands.CreatePlan)
    assert (request.turn, request.feedback) == (6, "too short")
    session.when(answered(), evaluated(NextMove.REVISE, reason="still too short"))
    assert session.wrote(events.TaskEscalated).failure.code == "revisions_exhausted"


def test_a_corrected_turn_goes_on_to_the_next() -> None:
    profile = agent(reviewers=(ReviewPolicy(reviewer="safety"),))
    session = given(task(profile=profile), turn("a"), reviewed("safety", ReviewVerdict.REJECT, "not that"))
    session.when(turn("b"), reviewed("safety"), *done("b"))
    request = session.wrote(commands.CreatePlan)
    assert (request.call.revision, request.turn) == (3, 2)
    assert [one.step_id for one in request.outcomes] == ["b"]


def test_a_turn_whose_planning_failed_is_asked_again_with_the_same_outcomes() -> None:
    session = given(task(), turn("a"), *done("a"))
    asked = session.wrote(commands.CreatePlan)
    session.when(planning_failed(), retry("1s")).after("1s")
    session.then("PlanRequested plan 2 #2", "CreatePlan plan 2 #2")
    again = session.wrote(commands.CreatePlan)
    assert (again.turn, again.outcomes) == (asked.turn, asked.outcomes)


def test_the_session_keeps_the_head_of_the_conversation_and_sends_it_with_each_turn() -> None:
    session = given(task(), turn("a", conversation=FIRST), *done("a"))
    assert session.wrote(commands.CreatePlan).conversation == FIRST
    session.when(turn("b", conversation=SECOND), *done("b"))
    assert session.wrote(commands.CreatePlan).conversation == SECOND
    session.when(answered())
    assert session.wrote(commands.EvaluateTask).conversation == SECOND


def test_what_a_conversation_holds_is_sent_once() -> None:
    profile = agent(model=ModelPolicy(name="provider:model", instructions=json_value("be brief")))
    context = json_value({"a": 1})
    session = given(task(profile=profile, context=context, memory=context))
    first = session.wrote(commands.CreatePlan)
    assert (first.context, first.memory, first.model) == (context, context, profile.model)
    session.when(turn("a", conversation=FIRST), *done("a"))
    later = session.wrote(commands.CreatePlan)
    assert (later.context, later.memory, later.model, later.previous) == (None, None, None, None)


def test_without_a_conversation_each_turn_gets_everything() -> None:
    context = json_value({"a": 1})
    session = given(task(context=context), turn("a"), *done("a"))
    request = session.wrote(commands.CreatePlan)
    assert request.context == context
    assert request.previous is not None


def test_a_rejected_plan_is_part_of_the_conversation() -> None:
    profile = agent(reviewers=(ReviewPolicy(reviewer="safety"),))
    session = given(task(profile=profile), turn("a", conversation=FIRST))
    session.when(reviewed("safety", ReviewVerdict.REJECT, "not that"))
    assert session.wrote(commands.CreatePlan).conversation == FIRST
    invalid = turn(step("a", needs=("b",)), conversation=SECOND)
    session.when(invalid)
    assert session.wrote(commands.CreatePlan).conversation == SECOND


def test_a_session_that_is_cancelled_between_turns_ends() -> None:
    session = given(task(), turn("a"), *done("a")).when(cancel())
    session.then("CancelRequested", "CallsVoided", "TaskCancelled")


@pytest.mark.parametrize(("attempts", "spared"), [(3, True), (4, False)])
def test_attempts_that_count_for_nothing_are_told_to_recovery(attempts: int, spared: bool) -> None:
    session = given(task())
    for _ in range(attempts - 1):
        session.when(planning_failed(), retry("1s", spared=spared)).after("1s")
    call = session.wrote(commands.CreatePlan).call
    assert call.attempt == attempts
    assert call.spared == (attempts - 1 if spared else 0)


def test_recovery_may_mend_the_arguments_of_a_step() -> None:
    mended = step("a", uses={}).arguments
    session = given(task(), turn(step("a", needs=())), selected("a"), failed("a"))
    session.when(retry("1s", arguments=mended)).after("1s")
    assert session.wrote(events.PlanStepReady).step.arguments == mended


def test_arguments_that_a_reviewer_has_accepted_are_not_mended() -> None:
    profile = agent(reviewers=(ReviewPolicy(reviewer="safety"),))
    mended = step("a", uses={}).arguments
    session = given(task(profile=profile), turn("a"), reviewed("safety"), selected("a"), failed("a"))
    session.when(retry("1s", arguments=mended))
    assert session.wrote(events.RecoveryRecorded).arguments is None


def test_a_step_that_was_cut_off_is_told_as_such() -> None:
    """It ran when the evaluation of another one asked for another plan."""
    each_step = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))
    session = given(task(profile=each_step), turn("a", "b", "c", result="a"), selected("b"), *done("a"))
    session.when(evaluated(NextMove.REVISE, reason="not like this"))
    outcomes = {one.step_id: one for one in session.wrote(commands.CreatePlan).outcomes}
    assert outcomes["a"].output is not None
    cut_off = outcomes["b"].failure
    assert cut_off is not None
    assert (cut_off.kind, cut_off.code) == (FailureKind.UNKNOWN_OUTCOME, "voided")


def test_mended_arguments_cannot_bind_what_the_step_did_not_wait_for() -> None:
    bound = step("a", uses={"x": "b"}).arguments
    session = given(task(), turn("a", "b"), selected("a"), failed("a")).when(retry("1s", arguments=bound))
    assert session.wrote(events.RecoveryRecorded).arguments is None


def test_what_selection_and_recovery_use_counts() -> None:
    used = Usage(model_requests=1, tokens_input=5, tokens_output=1)
    session = given(task(), turn("a"), selected("a", usage=used), failed("a", usage=Usage()))
    session.when(retry("1s", usage=used))
    assert session.state.used == Usage(model_requests=2, tokens_input=10, tokens_output=2)


def test_the_platform_bounds_turns_where_nobody_else_does() -> None:
    session = given(task(profile=agent(limits=Limits())))
    assert session.wrote(events.TaskReceived).limits.turns == 100

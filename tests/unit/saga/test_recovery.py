"""Failed calls wait for recovery. It decides; the orchestrator acts on it by its own clock."""

import pytest

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    CallKind,
    EvaluationPoint,
    EvaluationPolicy,
    FailureKind,
    RecoveryDecision,
    RetryPolicy,
    Usage,
)
from orchestrator.messages.usage import NO_USAGE
from orchestrator.saga import StepStatus
from orchestrator.testing.scenario import (
    SECOND,
    Sentence,
    agent,
    bounded,
    done,
    evaluated,
    evaluation_failed,
    exhausted,
    failed,
    fallback,
    given,
    plan_created,
    planning_failed,
    retry,
    selected,
    selection_failed,
    step,
    task,
)


def test_a_failed_call_waits_for_recovery_and_keeps_its_policy() -> None:
    policy = RetryPolicy(attempts=7)
    session = given(task(), plan_created(step("a", retry=policy)), selected("a", alternatives=("other",)))
    session.when(failed("a")).then("CallFailed a")
    call = session.wrote(events.CallFailed).call
    assert (call.kind, call.failed_kind, call.tool) == (CallKind.RECOVERY, CallKind.TOOL, "work")
    assert (call.retry, call.alternatives) == (policy, ("other",))
    assert session.state.steps["a"].failure is not None
    assert session.state.steps["a"].status is StepStatus.RUNNING


def test_a_fallback_starts_at_once_without_the_failed_tools() -> None:
    session = given(task(), plan_created("a"), selected("a"), failed("a", FailureKind.PERMANENT))
    session.when(fallback("work")).then("RecoveryRecorded a", "PlanStepReady a #2")
    assert session.wrote(events.RecoveryRecorded).decision is RecoveryDecision.FALLBACK
    call = session.wrote(events.PlanStepReady).call
    assert (call.avoid, call.tool, call.alternatives) == (("work",), "", ())


def test_a_retry_after_a_fallback_still_avoids_the_failed_tools() -> None:
    session = given(task(), plan_created("a"), failed("a"), fallback("work"), failed("a"), retry("1s"))
    session.after("1s").then("PlanStepReady a #3")
    assert session.wrote(events.PlanStepReady).call.avoid == ("work",)


def test_a_failed_selection_is_recovered_like_a_failed_run() -> None:
    session = given(task(), plan_created("a"))
    session.when(selection_failed("a")).then("CallFailed a")
    assert session.wrote(events.CallFailed).call.failed_kind is CallKind.SELECTION
    session.when(exhausted()).then(
        "RecoveryRecorded a", "StepFailed a", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.state.steps["a"].status is StepStatus.FAILED


def test_a_second_decision_of_recovery_about_a_call_is_dropped() -> None:
    session = given(task(), plan_created("a"), failed("a"))
    second, third = session.prepared(retry("5s")), session.prepared(exhausted())
    session.when(retry("1s"), second, third).then("RecoveryRecorded a")
    session.after("1s").then("PlanStepReady a #2")


def test_a_failed_evaluation_is_requested_again() -> None:
    session = given(task(), plan_created("a"), *done("a"))
    session.when(evaluation_failed()).then("CallFailed evaluation-1")
    session.when(retry("1s")).then("RecoveryRecorded evaluation-1")
    session.after("1s").then("EvaluationRequested evaluation-1 #2", "EvaluateTask evaluation-1 #2")
    session.when(evaluated()).then("EvaluationRecorded evaluation-1 #2", "TaskCompleted")


def test_an_evaluation_that_cannot_succeed_is_escalated() -> None:
    session = given(task(), plan_created("a"), *done("a"), evaluation_failed())
    session.when(exhausted()).then("RecoveryRecorded evaluation-1", "TaskEscalated", "MessageDeadLettered")


def test_a_step_may_have_the_name_of_an_evaluation() -> None:
    """Both wait for a retry; the start of the step must not end the wait of the evaluation."""
    each = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))
    session = given(task(profile=each), plan_created("a", "evaluation-1"), *done("a"))
    session.when(evaluation_failed(), retry("10s"), failed("evaluation-1"), retry("5s"))
    session.after("5s").then("PlanStepReady evaluation-1 #2")
    session.after("5s").then("EvaluationRequested evaluation-1 #2", "EvaluateTask evaluation-1 #2")


def test_silent_recovery_is_asked_again_before_the_session_is_escalated() -> None:
    session = given(task(), plan_created("a"), failed("a"))
    session.after("30s").then("CallTimedOut RECOVERY a")
    assert session.wrote(events.CallTimedOut).next.asked == 2
    session.after("30s").then("CallTimedOut RECOVERY a")
    assert session.wrote(events.CallTimedOut).next.asked == 3
    session.after("30s").then(
        "CallTimedOut RECOVERY a", "StepFailed a", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.wrote(events.CallTimedOut).next is None
    assert session.wrote(events.TaskEscalated).failure.message == "it did not work"


def test_a_reply_to_the_second_request_of_recovery_counts() -> None:
    session = given(task(), plan_created("a"), failed("a")).after("30s")
    session.when(retry("1s")).then("RecoveryRecorded a")


@pytest.mark.parametrize(
    ("opening", "failing"),
    [((), planning_failed()), ((plan_created("a"), *done("a")), evaluation_failed())],
)
def test_a_call_that_recovery_cannot_save_is_escalated(
    opening: tuple[Sentence, ...], failing: Sentence
) -> None:
    session = given(task(), *opening, failing).after("30s").after("30s").after("30s")
    assert session.state.escalated is not None
    assert session.wrote(events.TaskEscalated)


def test_other_steps_go_on_while_one_waits_for_its_retry() -> None:
    session = given(task(), plan_created("a", "b", step("c", needs=("b",))), failed("a"), retry("9s"))
    session.when(*done("b")).then("StepAssigned b", "StepSucceeded b", "PlanStepReady c")
    session.when(*done("c")).then("StepAssigned c", "StepSucceeded c")
    session.after("9s").then("PlanStepReady a #2")


def test_a_failed_step_voids_the_calls_of_the_others() -> None:
    session = given(task(), plan_created("a", "b"), selected("b"), failed("a"))
    running = session.call(CallKind.TOOL, "b")
    session.when(exhausted()).then(
        "RecoveryRecorded a", "StepFailed a", "CallsVoided", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.wrote(events.CallsVoided).calls == (running.call_id,)


def test_a_retry_that_waits_for_a_free_place_is_due_once_one_is_free() -> None:
    session = given(task(profile=bounded(parallel_steps=1)), plan_created("a", "b"))
    session.when(failed("a")).then("CallFailed a", "PlanStepReady b")
    session.when(retry("1s"))
    assert session.due_in == 30.0
    session.after("1s").then_nothing()
    assert session.due_in is not None
    assert session.due_in > 0
    session.when(*done("b")).then("StepAssigned b", "StepSucceeded b", "PlanStepReady a #2")


def test_a_repeated_message_that_finds_something_due_writes_it_under_other_ids() -> None:
    session = given(task(), plan_created("a"))
    failure = session.prepared(failed("a"))
    session.when(failure)
    first = session.wrote(events.CallFailed)
    session.when(retry("1s"))
    session.now += SECOND
    session.when(failure).then("PlanStepReady a #2")
    assert session.wrote(events.PlanStepReady).event_id != first.event_id


def test_a_delay_counts_from_when_the_orchestrator_handles_it() -> None:
    session = given(task(), plan_created("a"), failed("a"))
    said = session.prepared(retry("2s"))
    session.after("5s").when(said)
    assert session.wrote(events.RecoveryRecorded).retry_at == session.now + 2 * SECOND


def test_a_failed_run_reports_its_usage() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    session.when(failed("a", usage=Usage(tool_calls=1, tokens_output=3)))
    assert session.state.used == Usage(tool_calls=1, tokens_output=3)


def test_a_failed_planner_gets_the_same_request_again() -> None:
    session = given(task("find out", playbook="trip"), planning_failed(), retry("1s")).after("1s")
    command = session.wrote(commands.CreatePlan)
    assert (command.goal, command.playbook, command.call.attempt) == ("find out", "trip", 2)


def test_a_failed_selection_uses_nothing() -> None:
    session = given(task(), plan_created("a"), selection_failed("a"))
    assert session.state.used == NO_USAGE

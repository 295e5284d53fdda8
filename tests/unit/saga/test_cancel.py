"""A cancel is two facts: it is requested, and it is done when the tools in flight have replied or timed out."""

import pytest

from orchestrator.messages import events
from orchestrator.messages.types import CallKind, EvaluationPoint, EvaluationPolicy, ReviewPolicy, Usage
from orchestrator.saga import Outcome, Phase
from orchestrator.testing.scenario import (
    SECOND,
    START,
    Sentence,
    agent,
    bounded,
    cancel,
    completed,
    done,
    evaluation_failed,
    exhausted,
    failed,
    given,
    plan_created,
    planning_failed,
    retry,
    selected,
    task,
    task_of_nobody,
)

REVIEWED = agent(reviewers=(ReviewPolicy(reviewer="safety"),))
VOIDED = ("CancelRequested", "CallsVoided", "TaskCancelled")
AT_ONCE = ("CancelRequested", "TaskCancelled")


@pytest.mark.parametrize(
    ("opening", "then"),
    [
        ((task(),), VOIDED),
        ((task(not_before=START + 60 * SECOND),), AT_ONCE),
        ((task(), planning_failed()), VOIDED),
        ((task(), planning_failed(), retry("1m")), AT_ONCE),
        ((task(profile=REVIEWED), plan_created("a")), VOIDED),
        ((task(), plan_created("a"), failed("a")), VOIDED),
        ((task(), plan_created("a"), failed("a"), retry("1m")), AT_ONCE),
        ((task(), plan_created("a"), *done("a")), VOIDED),
        ((task(), plan_created("a"), *done("a"), evaluation_failed()), VOIDED),
        ((task(), plan_created("a"), failed("a"), exhausted()), AT_ONCE),
    ],
    ids=[
        "planning",
        "before its time",
        "planning failed",
        "planning to be retried",
        "in review",
        "step failed",
        "step to be retried",
        "evaluating",
        "evaluation failed",
        "parked",
    ],
)
def test_without_running_tools_a_cancel_ends_the_session_at_once(
    opening: tuple[Sentence, ...], then: tuple[str, ...]
) -> None:
    session = given(*opening).when(cancel("never mind")).then(*then)
    assert session.wrote(events.TaskCancelled).reason == "never mind"
    assert session.state.outcome is Outcome.CANCELLED
    assert session.due_in is None


def test_the_beginning_of_a_long_reason_is_kept() -> None:
    session = given(task()).when(cancel("never mind " * 100_000))
    assert session.wrote(events.TaskCancelled).reason == ("never mind " * 100)[:1_000]


def test_a_cancel_waits_for_running_tools() -> None:
    session = given(task(), plan_created("a", "b"), selected("a"))
    session.when(cancel()).then("CancelRequested", "CallsVoided")
    assert session.due_in == 10.0
    session.when(completed("a")).then("StepSucceeded a")
    session.when(failed("b")).then("CallFailed b", "TaskCancelled")
    assert session.wrote(events.TaskCancelled).total.tool_calls == 2


def test_a_cancel_waits_ten_seconds_at_most() -> None:
    session = given(task(), plan_created("a", "b"), selected("a"), cancel())
    session.after("10s").then("CallTimedOut TOOL a", "CallTimedOut SELECTION b", "TaskCancelled")


def test_a_selection_in_flight_does_not_make_a_cancel_wait_longer() -> None:
    session = given(task(), plan_created("a"), cancel())
    session.when(selected("a")).then("StepAssigned a")
    assert session.due_in == 10.0
    session.after("10s").then("CallTimedOut TOOL a", "TaskCancelled")


def test_recovery_retries_nothing_in_a_cancelled_session() -> None:
    session = given(task(), plan_created("a", "b"), cancel(), failed("a"))
    session.when(retry("1s")).then("RecoveryRecorded a")
    assert session.due_in == 10.0
    session.after("1s").then_nothing()


def test_calls_that_are_due_before_the_cancel_keep_their_deadline() -> None:
    session = given(task(), plan_created("a")).after("25s")
    session.when(cancel())
    assert session.due_in == 5.0


def test_nothing_starts_in_a_cancelled_session() -> None:
    session = given(task(profile=bounded(parallel_steps=1)), plan_created("a", "b"), cancel())
    session.when(completed("a")).then("StepSucceeded a", "TaskCancelled")


def test_a_second_cancel_is_dropped() -> None:
    session = given(task(), plan_created("a"), cancel("first"))
    session.when(cancel("second")).then_nothing()
    assert session.state.cancel == "first"


def test_a_session_that_ended_is_not_cancelled() -> None:
    session = given(task(), cancel())
    session.when(cancel()).then_nothing()


def test_the_deadline_does_not_wait_for_a_cancel() -> None:
    session = given(task(profile=bounded(deadline_ms=5_000)), plan_created("a"), cancel())
    session.after("5s").then("CallsVoided", "TaskCancelled")


def test_evaluations_are_not_waited_for_while_a_tool_is() -> None:
    each = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))
    session = given(task(profile=each), plan_created("a", "b"), *done("a"))
    session.when(cancel())
    assert [call.kind for call in session.state.calls.values()] == [CallKind.SELECTION]


def test_a_cancel_before_its_task_waits_for_it() -> None:
    session = given(cancel("never mind")).then("CancelRequested")
    assert session.state.phase is Phase.AWAITED
    session.when(task()).then("TaskReceived", "TaskCancelled")
    assert session.wrote(events.TaskCancelled).total == Usage()


def test_a_second_cancel_before_the_task_is_dropped() -> None:
    given(cancel()).when(cancel()).then_nothing()


def test_a_cancel_without_a_task_is_refused_after_an_hour() -> None:
    session = given(cancel())
    assert session.due_in == 3600.0
    session.after("59m").then_nothing()
    session.after("1m").then("RequestRefused")
    assert "there is no session" in session.wrote(events.RequestRefused).reason
    assert session.state.outcome is Outcome.REFUSED


def test_a_refused_task_ends_a_session_that_was_cancelled_before() -> None:
    given(cancel()).when(task_of_nobody()).then("TaskRefused")

"""Every call has a deadline: a dead or silent service delays a session, but never strands it."""

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.messages import events
from orchestrator.messages.timeouts import GRACE_MS, QUEUE_MS
from orchestrator.messages.types import CallKind, FailureKind, Usage
from orchestrator.messages.usage import NO_USAGE
from orchestrator.saga import Outcome, Phase
from orchestrator.saga.calls import REPLIES_COUNTED
from orchestrator.testing.scenario import (
    ONE_RUN,
    SECOND,
    Scenario,
    Sentence,
    agent,
    bounded,
    completed,
    done,
    exhausted,
    failed,
    fallback,
    given,
    plan_created,
    retry,
    selected,
    task,
    turn,
    usage_reported,
)

WAY = (QUEUE_MS + GRACE_MS) / 1_000
"""Seconds that work may wait in its topic and its reply may take to arrive."""


@pytest.mark.parametrize(
    ("opening", "waits_for", "seconds", "name", "kind"),
    [
        ((), CallKind.PLAN, WAY + 60, "plan 1", FailureKind.TRANSIENT),
        ((plan_created("a"),), CallKind.SELECTION, 30, "a", FailureKind.TRANSIENT),
        (
            (plan_created("a"), selected("a", timeout="20s")),
            CallKind.TOOL,
            WAY + 20,
            "a",
            FailureKind.UNKNOWN_OUTCOME,
        ),
        (
            (plan_created("a"), *done("a")),
            CallKind.EVALUATION,
            WAY + 60,
            "evaluation-1",
            FailureKind.TRANSIENT,
        ),
    ],
)
def test_a_call_without_a_reply_fails_and_recovery_is_asked(
    opening: tuple[Sentence, ...], waits_for: CallKind, seconds: float, name: str, kind: FailureKind
) -> None:
    session = given(task(), *opening)
    assert session.due_in == seconds
    session.after(f"{seconds - 0.001}s").then_nothing()
    session.after("1ms").then(f"CallTimedOut {waits_for} {name}")
    silent = session.wrote(events.CallTimedOut)
    assert silent.call.kind is waits_for
    assert silent.next.kind is CallKind.RECOVERY
    assert silent.next.failed_kind is waits_for
    assert silent.next.failure.kind is kind
    assert silent.next.failure.code == "timed_out"
    session.when(retry("1s"))
    assert session.after("1s").outputs


def test_calls_expire_in_the_order_of_their_deadlines() -> None:
    session = given(task(), plan_created("a", "b"), selected("b", timeout="1s"))
    session.after("5m").then("CallTimedOut SELECTION a", "CallTimedOut TOOL b")


def test_a_requested_run_counts_without_a_reply() -> None:
    session = given(task(), plan_created("a"), selected("a")).after("5m")
    assert session.state.used == Usage(tool_calls=1)


def test_late_usage_counts_once_and_its_run_not_again() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    late = session.prepared(completed("a", usage=Usage(tool_calls=1, tokens_input=10)))
    session.after("5m")
    session.when(late).then("UsageRecorded a")
    session.when(late).then_nothing()
    assert session.state.used == Usage(tool_calls=1, tokens_input=10)


def test_a_late_reply_with_nothing_new_about_usage_is_dropped() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    late = session.prepared(completed("a", usage=Usage(tool_calls=1)))
    session.after("5m").when(late).then_nothing()


def test_a_run_whose_selection_timed_out_counts_with_its_usage() -> None:
    session = given(task(), plan_created("a"))
    late_news, late_run = session.prepared(selected("a")), session.prepared(completed("a"))
    session.after("30s").then("CallTimedOut SELECTION a")
    assert session.state.used == NO_USAGE
    session.when(late_news, late_run).then("UsageRecorded a")
    assert session.state.used == ONE_RUN


def test_late_usage_of_a_plan_counts() -> None:
    session = given(task())
    late = session.prepared(plan_created("a", usage=Usage(tokens_output=9)))
    session.after("5m").when(late, late).then("UsageRecorded plan 1")
    assert session.state.used == Usage(tokens_output=9)


def test_what_a_handler_used_without_a_reply_counts_once_and_its_call_goes_on() -> None:
    asked = Usage(model_requests=1, tokens_input=10)
    session = given(task())
    report = session.prepared(usage_reported(CallKind.PLAN, asked))
    session.when(report, report).then("UsageRecorded plan 1")
    session.when(plan_created("a")).then("PlanAccepted plan 1", "PlanStepReady a")
    assert session.state.used == asked


def test_what_a_handler_used_that_was_ended_too_late_counts() -> None:
    asked = Usage(model_requests=1, tokens_input=10)
    session = given(task(), plan_created("a"), selected("a"))
    report = session.prepared(usage_reported(CallKind.TOOL, asked))
    session.after("5m")
    session.when(report, report).then("UsageRecorded a")
    assert session.state.used == replace(asked, tool_calls=1)


def again(session: Scenario, reply: Sentence, seconds: int = 1) -> Sentence:
    """What the service replies when it handles the command once more."""
    first: Any = reply(session)
    return lambda _scenario: replace(first, occurred_at=first.occurred_at + seconds * SECOND)


def test_a_command_that_is_handled_twice_counts_twice_and_each_reply_once() -> None:
    """It was delivered again when its first reply had been sent: the model was asked twice, and paid twice."""
    asked = Usage(model_requests=1, tokens_input=10)
    session = given(task())
    first = session.prepared(plan_created("a", usage=asked))
    second = again(session, first)
    session.when(first, second).then("PlanAccepted plan 1", "PlanStepReady a", "UsageRecorded plan 1")
    session.when(first, second).then_nothing()
    assert session.state.used == Usage(model_requests=2, tokens_input=20)


def test_a_late_selection_counts_once_for_each_time_that_it_was_made() -> None:
    """Its call stays uncounted, because the run has the same one."""
    session = given(task(), plan_created("a"))
    late = session.prepared(selected("a", usage=Usage(model_requests=1, tokens_input=10)))
    second = again(session, late)
    session.after("30s")
    session.when(late, late, second, late).then("UsageRecorded a", "UsageRecorded a")
    assert session.state.used == Usage(model_requests=2, tokens_input=20)


def test_advice_that_comes_too_late_counts() -> None:
    """Recovery was asked again, and its second reply came first."""
    asked = Usage(model_requests=1, tokens_input=10)
    session = given(task(), plan_created("a"), failed("a"))
    late = session.prepared(retry("0s", usage=asked))
    late_too = session.prepared(fallback("work", usage=asked))
    session.when(retry("0s", usage=asked)).then("RecoveryRecorded a", "PlanStepReady a #2")
    session.when(late, late_too, late).then("UsageRecorded a", "UsageRecorded a")
    assert session.state.used == replace(ONE_RUN, model_requests=3, tokens_input=30)


def test_advice_does_not_keep_a_late_run_from_being_counted() -> None:
    session = given(task(), plan_created("a"))
    late_run = session.prepared(completed("a"))
    session.after("30s")
    late = session.prepared(retry("0s", usage=Usage(model_requests=1)))
    session.when(exhausted()).then(
        "RecoveryRecorded a", "StepFailed a", "TaskEscalated", "MessageDeadLettered"
    )
    session.when(late, late_run).then("UsageRecorded a", "UsageRecorded a")
    assert session.state.used == replace(ONE_RUN, model_requests=1)


def test_what_is_remembered_of_replies_does_not_grow_with_the_turns() -> None:
    asked = Usage(model_requests=1)
    session = given(task())
    for _ in range(10):
        session.when(turn("a", usage=asked), *done("a"))
    assert session.state.used.model_requests == 10
    assert len(session.state.reported) <= 2


def test_replies_to_one_call_count_up_to_a_bound() -> None:
    """Whoever was asked once may write its reply without end, each time with another time of writing."""
    session = given(task())
    reply = session.prepared(plan_created("a", usage=Usage(model_requests=1)))
    for later in range(REPLIES_COUNTED * 3):
        session.when(again(session, reply, later))
    assert session.state.used == Usage(model_requests=REPLIES_COUNTED)
    assert len(session.state.reported) == REPLIES_COUNTED


def test_a_late_reply_does_not_undo_the_timeout() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    late = session.prepared(completed("a", "too late"))
    session.after("5m").when(late)
    session.when(retry("0s")).then("RecoveryRecorded a", "PlanStepReady a #2")
    session.when(*done("a", "in time"))
    assert session.state.succeeded == 1
    assert session.wrote(events.StepSucceeded).call.attempt == 2


def test_a_reply_that_is_handled_before_its_timeout_wins() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    session.now += 200 * SECOND
    session.when(completed("a"))
    assert session.wrote(events.StepSucceeded)


def test_the_session_fails_at_its_deadline_with_calls_open() -> None:
    session = given(task(profile=bounded(deadline_ms=20_000)), plan_created("a"))
    assert session.due_in == 20.0
    session.after("20s").then("CallsVoided", "TaskFailed")
    assert session.state.outcome is Outcome.FAILED
    assert session.wrote(events.TaskFailed).failure.code == "deadline_exceeded"
    assert session.due_in is None


def test_the_deadline_comes_before_calls_that_are_due_at_the_same_time() -> None:
    session = given(task(profile=bounded(deadline_ms=30_000)), plan_created("a"))
    session.after("30s").then("CallsVoided", "TaskFailed")


def test_the_deadline_holds_while_a_retry_waits() -> None:
    session = given(task(profile=bounded(deadline_ms=20_000)), plan_created("a"), failed("a"), retry("1h"))
    session.after("20s").then("TaskFailed")


def test_the_deadline_holds_before_not_before() -> None:
    session = given(task(not_before=0)).state
    assert session.phase is Phase.PLANNING
    later = given(task(profile=agent(), not_before=1_800_000_000_000_000, not_after=1_795_000_000_000_000))
    later.now = 1_795_000_000_000_000
    later.after("0s").then("TaskFailed")


def test_nothing_stays_due_in_the_past() -> None:
    session = given(task(), plan_created("a", "b")).after("45s")
    assert session.due_in is not None
    assert session.due_in > 0


def test_a_reply_wins_over_its_timeout_while_only_replies_are_read() -> None:
    """After an outage a session reads an older reply to something else first."""
    session = given(task(), plan_created("a", "b"))
    session.now += 31 * SECOND
    session.when(selected("b")).then("StepAssigned b")
    session.when(selected("a")).then("StepAssigned a")

"""An escalated session is parked until it is cancelled or its deadline passes."""

import msgspec

from orchestrator.messages import events
from orchestrator.messages.types import FailureKind, Usage
from orchestrator.saga import Outcome, Phase
from orchestrator.testing.scenario import (
    ORIGINAL,
    SECOND,
    Scenario,
    bounded,
    cancel,
    completed,
    exhausted,
    failed,
    given,
    plan_created,
    selected,
    task,
)


def parked() -> Scenario:
    return given(
        task(profile=bounded(deadline_ms=60_000)), plan_created("a"), failed("a", FailureKind.PERMANENT)
    ).when(exhausted("no tool is left"))


def test_an_escalated_session_is_parked_and_says_why() -> None:
    session = parked()
    session.then("RecoveryRecorded a", "StepFailed a", "TaskEscalated", "MessageDeadLettered")
    assert session.state.parked
    assert session.state.settled
    assert not session.state.ended
    assert session.state.phase is Phase.EXECUTING
    assert session.wrote(events.TaskEscalated).failure.message == "it did not work (no tool is left)"
    assert session.wrote(events.TaskEscalated).expires_at == session.now + 60 * SECOND


def test_the_dead_letter_has_the_task_byte_for_byte_the_failure_and_the_state() -> None:
    session = parked()
    dead_letter = session.wrote(events.MessageDeadLettered)
    escalated = session.wrote(events.TaskEscalated)
    assert dead_letter.event_id == escalated.dead_letter_id
    assert dead_letter.original == ORIGINAL
    assert dead_letter.failure == escalated.failure
    assert (dead_letter.service, dead_letter.stage) == ("orchestrator", "escalate")
    assert dead_letter.occurred_at == session.now
    state = msgspec.json.decode(dead_letter.state.inline)
    assert state["steps"]["a"]["status"] == "FAILED"
    assert dead_letter.sequence == state["sequence"] == escalated.sequence - 1


def test_a_parked_session_fails_at_its_deadline() -> None:
    session = parked()
    assert session.due_in == 60.0
    session.after("59s").then_nothing()
    session.after("1s").then("TaskFailed")
    assert session.wrote(events.TaskFailed).failure.message == "it did not work (no tool is left)"
    assert session.state.outcome is Outcome.FAILED


def test_a_parked_session_can_be_cancelled() -> None:
    parked().when(cancel()).then("CancelRequested", "TaskCancelled")


def test_only_the_usage_of_replies_to_a_parked_session_counts() -> None:
    session = given(task(), plan_created("a", "b"), selected("b"), failed("a"))
    late = session.prepared(completed("b", usage=Usage(tool_calls=1, tokens_input=4)))
    session.when(exhausted())
    session.when(late, late).then("UsageRecorded b")
    assert session.state.used.tokens_input == 4
    assert session.state.used.tool_calls == 2


def test_a_session_that_was_refused_has_no_dead_letter() -> None:
    given(task("")).then("TaskRefused")

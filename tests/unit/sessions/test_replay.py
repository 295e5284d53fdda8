"""A session replayed from its own events."""

import random

import pytest
from msgspec.structs import replace

from orchestrator.errors import OrchestratorError
from orchestrator.messages.base import SessionEvent
from orchestrator.saga import Outcome, Phase, StepStatus, evolve
from orchestrator.sessions.replay import replay
from tests.support.stories import completed_triage


def own(name: str = "triage") -> list[SessionEvent]:
    return [event for event in completed_triage(name).events if isinstance(event, SessionEvent)]


def test_the_state_is_the_fold_whatever_else_was_read() -> None:
    events = completed_triage().events
    random.Random(1).shuffle(events)  # noqa: S311 - no secret

    found = replay(events)

    assert found.problems == ()
    assert found.session is not None
    assert (found.session.phase, found.session.outcome) == (Phase.ENDED, Outcome.COMPLETED)
    assert found.session.used.tool_calls == 3


@pytest.mark.parametrize("at", range(1, 17))
def test_at_a_sequence_it_is_what_was_known_then(at: int) -> None:
    expected = None
    for event in own()[:at]:
        expected = evolve(expected, event)
    assert replay(completed_triage().events, at).session == expected


def test_between_failure_and_retry_the_step_is_still_running() -> None:
    session = replay(own(), 9).session
    assert session is not None
    assert session.steps["deploys"].status is StepStatus.RUNNING
    assert session.steps["deploys"].attempts == 1
    assert len(session.retries) == 1


@pytest.mark.parametrize("at", [0, -1, 17])
def test_an_event_that_does_not_exist_is_refused(at: int) -> None:
    with pytest.raises(OrchestratorError, match=f"event {at} does not exist: .* numbered from 1 to 16"):
        replay(own(), at)


@pytest.mark.parametrize(
    ("missing", "problem"),
    [({3}, "event 3 is missing"), ({3, 4, 5}, "events 3 to 5 are missing"), ({1}, "event 1 is missing")],
)
def test_a_gap_is_reported_and_the_state_is_the_one_before_it(missing: set[int], problem: str) -> None:
    found = replay(event for event in own() if event.sequence not in missing)

    assert found.problems == (problem,)
    assert (found.session.sequence if found.session else 0) == min(missing) - 1


def test_an_event_that_appears_twice_is_reported_and_counts_once() -> None:
    events = own()

    found = replay([*events, events[4]])

    assert found.problems == ("event 5 appears twice",)
    assert found.session == replay(events).session


def test_two_histories_of_one_session_are_reported() -> None:
    events = own()

    found = replay([*events, replace(events[4], event_id="another")])

    assert found.problems == ("two different events have the number 5",)


def test_without_events_there_is_no_session() -> None:
    assert replay([]).session is None

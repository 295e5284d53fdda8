"""The example session on the embedded broker: its findings, and its recovery from a failure."""

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.app.demo import Outcome, run_demo
from orchestrator.messages import events
from orchestrator.sessions.timeline import own_events
from tests.support.incident_figures import expected_findings, finding_lines


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def outcome(data: Path) -> Outcome:
    return run_demo(data, lambda _event: None)


def test_the_report_has_independently_computed_figures(outcome: Outcome, data: Path) -> None:
    reported = outcome.result.splitlines()
    for expected in finding_lines(expected_findings(data)):
        assert any(line.startswith(expected) for line in reported), expected


def test_one_tool_failed_once_and_was_retried(outcome: Outcome) -> None:
    failed = [event for event in outcome.events if isinstance(event, events.ToolFailed)]
    succeeded = Counter(
        event.call.step_id for event in outcome.events if isinstance(event, events.StepSucceeded)
    )
    assert [event.call.step_id for event in failed] == ["deploys"]
    assert set(succeeded.values()) == {1}


def test_steps_ran_concurrently(outcome: Outcome) -> None:
    in_flight: set[str] = set()
    most = 0
    for event in own_events(outcome.events):
        if isinstance(event, events.StepAssigned):
            in_flight.add(event.call.step_id)
        elif isinstance(event, events.StepSucceeded | events.CallFailed):
            in_flight.discard(event.call.step_id)
        most = max(most, len(in_flight))
    assert most >= 2


def test_the_history_is_gapless_and_ends_once(outcome: Outcome) -> None:
    history = own_events(outcome.events)
    assert [event.sequence for event in history] == list(range(1, len(history) + 1))
    assert isinstance(history[-1], events.TaskCompleted)
    assert {event.correlation_id for event in outcome.events} == {outcome.correlation_id}

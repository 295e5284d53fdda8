"""The example session on the embedded broker: its findings, its recovery from a failure, and the README\'s copy."""

import re
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.app.demo import TRIAGE, Outcome, run_demo
from orchestrator.messages import events
from orchestrator.sessions.timeline import own_events, timeline
from tests.support.incident_figures import expected_findings, finding_lines
from tests.support.pages import ROOT, blocks
from tests.support.shown_sessions import EVENT_LINE, like


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


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """The session in the README, line by line."""
    (block,) = [block for block in blocks(ROOT / "README.md", "console") if "$ orchestrator demo\n" in block]
    return block.splitlines()


@pytest.fixture(scope="module")
def shown_events(shown: list[str]) -> list[re.Match[str]]:
    return [match for line in shown if (match := EVENT_LINE.fullmatch(line))]


def test_the_readme_shows_events_of_this_session(outcome: Outcome, shown_events: list[re.Match[str]]) -> None:
    entries = timeline(outcome.events)
    assert len(shown_events) > 10
    strange = [line[0] for line in shown_events if not any(like(entry, line) for entry in entries)]
    assert not strange, "\n".join(strange)


def test_the_readme_shows_them_in_order(shown_events: list[re.Match[str]]) -> None:
    times = [line["time"] for line in shown_events]
    sequence = [int(line["sequence"]) for line in shown_events if line["sequence"]]
    assert times == sorted(times)
    assert sequence == sorted(set(sequence))


def test_the_readme_shows_the_task_and_lines_of_the_report(
    outcome: Outcome, shown: list[str], shown_events: list[re.Match[str]]
) -> None:
    assert f"Task: {TRIAGE.goal}" in shown
    report = [line for line in shown[shown.index("") :] if line]
    assert len(report) > 4
    reported = iter(outcome.result.splitlines())
    for line in report:
        assert any(found.startswith(line.removesuffix("…")) for found in reported), line

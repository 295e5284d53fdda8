"""The playbook on the test harness: what runs when, and whether the report is correct."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.messages import events
from orchestrator.saga import Outcome
from orchestrator.sdk import parse_documents
from orchestrator.testing import Harness, HarnessSession
from tests.support import incident_example
from tests.support.incident_figures import Findings, expected_rises, finding_lines


@pytest.fixture(scope="module")
def session(data: Path) -> HarnessSession:
    """A settled session of the example."""

    async def triaged() -> HarnessSession:
        agent = (incident_example.FOLDER / "agent.yaml").read_text(encoding="utf-8")
        async with Harness(
            incident_example.load("tools"),
            agents=parse_documents(agent, "agent.yaml").profiles,
            documents=[incident_example.FOLDER / "playbook.yaml"],
        ) as harness:
            return await harness.submit("Why did latency rise?", agent="triage")

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", str(data))
        return asyncio.run(triaged())


def test_task_is_completed_in_one_revision(session: HarnessSession) -> None:
    assert session.reason == ""
    assert session.outcome is Outcome.COMPLETED
    assert session.state.revision == 1


def test_three_steps_start_concurrently(session: HarnessSession) -> None:
    first_reply = next(
        index
        for index, event in enumerate(session.events)
        if isinstance(event, events.ToolCompleted | events.ToolFailed)
    )

    ready = [event for event in session.events[:first_reply] if isinstance(event, events.PlanStepReady)]

    assert [event.call.step_id for event in ready] == ["latency", "deploys", "saturation"]


def test_the_deploy_history_fails_once_and_is_retried(session: HarnessSession) -> None:
    (failed,) = session.of(events.ToolFailed)
    (retry,) = session.of(events.RetryScheduled)
    done = {event.call.step_id: event.call.attempt for event in session.of(events.StepSucceeded)}

    assert (failed.call.step_id, failed.failure.code) == ("deploys", "http_503")
    assert retry.call.step_id == "deploys"
    assert done == {"latency": 1, "saturation": 1, "impact": 1, "deploys": 2, "explain": 1, "report": 1}


def test_the_report_has_independently_computed_figures(session: HarnessSession, findings: Findings) -> None:
    lines = session.result.splitlines()

    assert lines[0] == "# Why latency rose"
    for expected in finding_lines(findings):
        assert any(line.startswith(expected) for line in lines), expected


def test_the_figures_of_the_route_are_exact(session: HarnessSession, findings: Findings) -> None:
    first = session.outputs["latency"]["routes"][0]

    assert first == {
        "route": findings.route,
        "before_ms": round(findings.before_p95_ms, 3),
        "after_ms": round(findings.after_p95_ms, 3),
        "ratio": round(findings.factor, 3),
    }
    hours = session.outputs["impact"]["buckets"]
    assert sum(hour["count"] for hour in hours) == findings.before_requests + findings.after_requests


def test_first_suspect_is_the_deploy_of_the_incident(session: HarnessSession, findings: Findings) -> None:
    first = session.outputs["explain"]["suspects"][0]

    assert (first["service"], first["version"]) == (findings.service, findings.version)


def test_resources_that_rose_are_those_of_another_computation(session: HarnessSession, data: Path) -> None:
    rows = session.outputs["saturation"]["rows"]
    expected = expected_rises(data)

    assert [(row["host"], row["resource"], datetime.fromisoformat(row["rose_at"])) for row in rows] == [
        (rise.host, rise.resource, rise.rose_at) for rise in expected
    ]
    assert [figure for row in rows for figure in (row["before"], row["after"], row["factor"])] == [
        pytest.approx(figure) for rise in expected for figure in (rise.before, rise.after, rise.factor)
    ]

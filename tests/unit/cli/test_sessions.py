"""`sessions list` and `sessions show`, from the session store."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.messages import events
from orchestrator.messages.types import Value
from orchestrator.sessions.store import SessionStore
from tests.support.recording import record
from tests.support.stories import Story, completed_triage, received
from tests.unit.cli.conftest import Run


@pytest.fixture
def triage(store: SessionStore) -> Story:
    story = completed_triage("triage")
    record(store, story.events, 0)
    return story


@pytest.fixture
def waiting(store: SessionStore) -> Story:
    story = Story("waiting", agent="cook", tenant="kitchen")
    received(story, goal="make\ntea \x1b[2J")
    record(store, story.events, 1)
    return story


def test_sessions_are_listed_as_text(run: Run, triage: Story, waiting: Story) -> None:
    ended = run("sessions", "list")

    heading, *rows = ended.out.splitlines()
    assert heading.split() == [
        "session",
        "phase",
        "agent",
        "goal",
        "started",
        "took",
        "calls",
        "tokens",
        "cost",
    ]
    row = next(row for row in rows if row.startswith(triage.correlation_id))
    assert "completed" in row
    assert "why did latency rise?" in row
    assert "make\\ntea \\x1b[2J" in ended.out


def test_what_a_goal_has_is_shown_in_one_form_wherever_people_read_it(run: Run, waiting: Story) -> None:
    listed, shown = run("sessions", "list").out, run("sessions", "show", waiting.correlation_id).out
    timeline = run("sessions", "show", waiting.correlation_id, "-o", "json").document["timeline"]

    goals = [line for line in f"{listed}\n{shown}".splitlines() if "make" in line]
    assert len(goals) == 3, "in the list, above the session, and in its timeline"
    assert all("make\\ntea \\x1b[2J" in line for line in goals)
    assert timeline[0]["summary"].endswith("make\\ntea \\x1b[2J")


def test_sessions_are_listed_as_json(run: Run, triage: Story, waiting: Story) -> None:
    rows = run("sessions", "list", "-o", "json").document

    assert {row["correlation_id"] for row in rows} == {triage.correlation_id, waiting.correlation_id}
    row = next(row for row in rows if row["correlation_id"] == triage.correlation_id)
    assert row["phase"] == "completed"
    assert row["tokens"] == 1000
    assert row["cost"] == 0.0025
    assert row["started_at"] == "2026-09-21T14:13:20.000000Z"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("--phase", "planning"), {"cook"}),
        (("--agent", "triage"), {"triage"}),
        (("--tenant", "kitchen"), {"cook"}),
        (("--since", "2026-09-22T00:00:00Z"), set()),
        (("--since", "2026-09-21T14:13:20Z"), {"cook", "triage"}),
        (("--limit", "1"), {"triage"}),
    ],
)
def test_the_list_is_filtered(
    run: Run, triage: Story, waiting: Story, wanted: tuple[str, ...], found: set[str]
) -> None:
    rows = run("sessions", "list", *wanted, "-o", "json").document

    assert {row["agent"] for row in rows} == found or len(found) == len(rows) == 1


def test_an_empty_list_names_the_recorder(run: Run) -> None:
    ended = run("sessions", "list")

    assert (ended.code, ended.out) == (0, "")
    assert "`orchestrator run session-recorder`" in ended.err
    assert run("sessions", "list", "-o", "json").document == []


def test_a_session_is_shown_as_json(run: Run, triage: Story) -> None:
    shown = run("sessions", "show", triage.correlation_id, "-o", "json").document

    assert list(shown) == [
        "correlation_id",
        "phase",
        "goal",
        "agent",
        "plan",
        "result",
        "steps",
        "tool_calls",
        "model_requests",
        "tokens",
        "tokens_cached",
        "cost",
        "timeline",
    ]
    assert shown["phase"] == "completed"
    assert shown["result"] == "/checkout"
    assert shown["steps"][1] == {
        "id": "deploys",
        "tool": "deploys.read",
        "status": "succeeded",
        "attempts": 2,
    }
    assert list(shown["timeline"][0]) == ["sequence", "type", "occurred_at", "summary"]
    assert [entry["sequence"] for entry in shown["timeline"] if entry["sequence"]] == list(range(1, 17))


def test_a_session_is_shown_as_text(run: Run, triage: Story) -> None:
    shown = run("sessions", "show", triage.correlation_id)

    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["phase", "completed"] in lines
    assert ["deploys", "deploys.read", "succeeded", "2"] in lines
    assert lines[-1] == ["/checkout"]


def test_a_session_is_shown_as_it_was_after_an_event(run: Run, triage: Story) -> None:
    shown = run("sessions", "show", triage.correlation_id, "--at", "3", "-o", "json").document

    assert shown["phase"] == "executing"
    assert shown["result"] is None
    assert [entry["type"] for entry in shown["timeline"]] == [
        "TaskReceived",
        "PlanRequested",
        "PlanCreated",
        "PlanAccepted",
    ]


def test_an_event_that_does_not_exist_is_refused(run: Run, triage: Story) -> None:
    ended = run("sessions", "show", triage.correlation_id, "--at", "99")

    assert ended.code == 1
    assert "the events of the session are numbered from 1 to 16" in ended.err


def test_the_beginning_of_an_id_is_enough(run: Run, triage: Story, waiting: Story) -> None:
    shown = run("sessions", "show", triage.correlation_id[:8].upper(), "-o", "json").document

    assert shown["correlation_id"] == triage.correlation_id


def test_an_ambiguous_prefix_is_refused(run: Run, store: SessionStore) -> None:
    for number, partition in (("1", 0), ("2", 1)):
        session = f"0192f0c0-0000-7000-8000-00000000000{number}"
        story = completed_triage()
        record(
            store,
            [
                replace(one, correlation_id=session, event_id=f"{number}{one.event_id}")
                for one in story.events
            ],
            partition,
        )

    ended = run("sessions", "show", "0192f0c0")

    assert ended.code == 1
    assert "several sessions begin with 0192f0c0: write more of the id" in ended.err


def test_a_session_that_is_not_recorded_says_what_to_do(run: Run) -> None:
    ended = run("sessions", "show", "0192f0c0-0000-7000-8000-000000000000", "-o", "json")

    assert ended.code == 1
    assert ended.error["type"] == "not_found"
    assert "--from-log" in ended.error["message"]


def test_a_malformed_id_is_a_usage_error(run: Run) -> None:
    for words in (("sessions", "show"), ("sessions", "watch"), ("cancel",)):
        ended = run(*words, "yesterday")
        assert ended.code == 2
        assert "write the UUID that submit printed" in ended.err


def test_a_damaged_history_is_shown_with_a_warning(run: Run, store: SessionStore) -> None:
    story = completed_triage()
    record(store, [one for one in story.events if getattr(one, "sequence", 0) != 5], 0)

    ended = run("sessions", "show", story.correlation_id, "-o", "json")

    assert ended.document["phase"] == "executing"
    assert "event 5 is missing" in ended.err


def test_a_result_that_cannot_be_read_does_not_hide_the_session(
    run: Run, store: SessionStore, place: Path
) -> None:
    uri = "values:sha256/ab/cd/" + "0" * 60
    history = [
        replace(event, result=Value(uri=uri, size=70_000))
        if isinstance(event, events.EvaluationRecorded | events.TaskCompleted)
        else event
        for event in completed_triage().events
    ]
    record(store, history, 0)

    ended = run("sessions", "show", history[0].correlation_id, "-o", "json")

    assert ended.code == 0
    assert ended.document["result"] == {"uri": uri, "size": 70_000}
    assert "warning: the result cannot be read" in ended.err


def test_a_store_that_does_not_answer_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", f"sqlite:///{place}")

    began = time.monotonic()
    ended = run("sessions", "list")

    assert time.monotonic() - began < 5
    assert ended.code == 4
    assert "ORCHESTRATOR_SESSIONS_URL names it" in ended.err

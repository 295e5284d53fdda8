"""Where a session's time went."""

from pathlib import Path

import pytest

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.call_kinds import call_name, call_of
from orchestrator.sessions.durations import where_time_went
from tests.golden.record import FOLDER, read
from tests.support.stories import Story, completed_triage, planned


def test_each_piece_of_work_has_its_shares() -> None:
    shares = where_time_went(completed_triage().events)

    assert shares.total == 263_000
    assert [(work.name, work.activity, work.attempts) for work in shares.work] == [
        ("plan 1", "planning", 1),
        ("step latency", "running", 1),
        ("step deploys", "running", 2),
        ("evaluation", "evaluating", 1),
    ]
    plan, latency, deploys, evaluation = shares.work
    assert (plan.waiting, plan.working, plan.took) == (4_000, 6_000, 10_000)
    assert (latency.began, latency.selecting, latency.working) == (12_000, 3_000, 50_000)
    assert (deploys.selecting, deploys.working, deploys.took) == (7_000, 40_000, 243_000)
    assert (evaluation.working, evaluation.took) == (3_000, 5_000)


def test_the_history_alone_is_enough() -> None:
    own = [event for event in completed_triage().events if isinstance(event, SessionEvent)]

    shares = where_time_went(own)

    assert [work.working for work in shares.work] == [6_000, 50_000, 40_000, 3_000]
    assert shares.total == 263_000


def test_work_without_a_reply_has_taken_no_time() -> None:
    story = Story()
    planned(story)

    latency = next(work for work in where_time_went(story.events).work if work.name == "step latency")

    assert latency.took == 0


def test_no_events_are_no_time() -> None:
    assert where_time_went([]).lines()[-1] == "total 0 ms"


def test_the_table_lines_up() -> None:
    lines = where_time_went(completed_triage().events).lines()

    assert lines == [
        "              attempts   began  waiting  selecting  working",
        "plan 1               1    0 ms     4 ms                6 ms  planning",
        "step latency         1   12 ms     5 ms       3 ms    50 ms  running",
        "step deploys         2   12 ms   196 ms       7 ms    40 ms  running",
        "evaluation           1  257 ms     2 ms                3 ms  evaluating",
        "total 263 ms",
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_work_of_every_call_in_a_history_is_shown(path: Path) -> None:
    history, _ = read(path.read_bytes())
    calls = [call for event in history if (call := call_of(event))]
    assert {work.name for work in where_time_went(history).work} >= {call_name(call) for call in calls}

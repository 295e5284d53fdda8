"""The timeline of a session, line by line."""

import random

import pytest

from orchestrator.messages import events
from orchestrator.messages.base import Definition, Event, SessionEvent
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.messages.types import Call, CallKind, Usage, Value
from orchestrator.sessions.summaries import LONGEST, duration, spent, summary
from orchestrator.sessions.timeline import in_order, timeline, until
from tests.support.samples import sample_of
from tests.support.stories import START, Story, completed_triage, received

EVENTS = [entry.message for entry in CATALOGUE if issubclass(entry.message, Event | Definition)]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_of_the_catalogue_has_a_summary_of_one_line(kind: type[Event]) -> None:
    text = summary(sample_of(kind))
    assert text
    assert "\n" not in text
    assert "<" not in text, "a type's own form is not for people"


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_no_summary_shows_the_content_of_a_value(kind: type[Event]) -> None:
    secret = Value(inline=b'"hunter2"', size=9)
    given = {
        field: secret
        for field in ("context", "memory", "output", "result", "state")
        if field in kind.__struct_fields__
    }
    assert "hunter2" not in summary(sample_of(kind, **given))


def test_an_entry_names_the_step_that_it_is_about() -> None:
    about = {
        entry.type: entry.step for entry in timeline(completed_triage().events) if entry.step != "latency"
    }

    assert {kind for kind, step in about.items() if step == "deploys"} >= {
        "PlanStepReady",
        "ToolFailed",
        "RecoveryRecorded",
        "StepSucceeded",
    }
    assert {about[kind] for kind in ("TaskReceived", "PlanCreated", "EvaluationRequested")} == {""}


def test_the_timeline_is_in_the_order_of_what_happened() -> None:
    story = completed_triage()

    lines = [f"{entry.sequence or '·'} {entry.summary}" for entry in timeline(story.events)]

    assert lines == [
        "1 task for triage: why did latency rise?",
        "2 plan 1 requested",
        "· plan 1 created: 2 steps (latency, deploys)",
        "3 plan 1 accepted: 2 steps (latency, deploys)",
        "4 step latency ready: logs.statistics",
        "5 step deploys ready: any tool for deploys",
        *_side_by_side(),
        "11 step deploys ready: any tool for deploys, attempt 2",
        "· step deploys: deploys.read chosen",
        "12 step deploys runs deploys.read",
        "· step deploys: deploys.read returned 7 bytes of application/json, 20 ms",
        "13 step deploys succeeded: 7 bytes of application/json",
        "14 evaluation requested",
        "· goal met, score 1.0",
        "15 goal met, score 1.0",
        "16 task completed with plan 1: 3 tool calls, 1,000 tokens, $0.0025",
    ]


def _side_by_side() -> list[str]:
    return [
        "· step latency: logs.statistics chosen",
        "· step deploys: deploys.read chosen",
        "6 step latency runs logs.statistics",
        "7 step deploys runs deploys.read",
        "· step deploys failed (transient): 503 from the deploy service, attempt 1",
        "8 step deploys failed (transient): 503 from the deploy service, attempt 1",
        "· retry of step deploys in 180 ms",
        "9 step deploys again in 180 ms",
        "· step latency: logs.statistics returned 21 bytes of application/json, 50 ms",
        "10 step latency succeeded: 21 bytes of application/json",
    ]


def test_an_event_comes_after_its_cause_whatever_the_clocks_say() -> None:
    story = Story()
    received(story)
    planning = story.call(CallKind.PLAN)
    asked = story.write(events.PlanRequested, 5, call=planning)
    slow_clock = story.write(events.PlanReviewed, -900, asked, **_reviewed())
    fast_clock = story.write(events.PlanCreated, 900, call=planning, plan=sample_of(events.PlanCreated).plan)
    story.write(events.PlanAccepted, 20, fast_clock, call=planning, plan=fast_clock.plan)

    types = [entry.type for entry in timeline(story.events)]

    assert types == ["TaskReceived", "PlanRequested", "PlanReviewed", "PlanCreated", "PlanAccepted"]
    assert slow_clock.occurred_at < START


def _reviewed() -> dict[str, object]:
    review = sample_of(events.PlanReviewed)
    return {"plan_call_id": "", "revision": 1, "review": review.review, "usage": Usage()}


def test_a_report_whose_command_is_unknown_follows_the_opening_of_its_call() -> None:
    story = Story()
    received(story)
    call = story.call(CallKind.TOOL, "latency")
    opened = sample_of(events.PlanStepReady)
    story.write(events.PlanStepReady, 5, call=call, step=opened.step, step_timeout_ms=1)
    story.write(events.ToolHeartbeat, -900, call=call)

    assert [entry.type for entry in timeline(story.events)] == [
        "TaskReceived",
        "PlanStepReady",
        "ToolHeartbeat",
    ]


def test_the_order_does_not_depend_on_how_the_events_were_read() -> None:
    story = completed_triage()
    expected = in_order(story.events)
    for seed in range(20):
        shuffled = story.events + story.events[:5]
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - no secret
        assert in_order(shuffled) == expected


def test_events_that_cause_each_other_are_still_shown() -> None:
    story = Story()
    first = received(story)
    call = Call(call_id="one", kind=CallKind.PLAN, due_at=START)
    report = story.write(events.ToolStarted, 3, call=call)
    last = story.write(events.PlanRequested, 4, report, call=call)
    circle = sample_of(
        events.ToolStarted, event_id=report.event_id, causation_id=last.event_id, occurred_at=START + 3000
    )

    assert {event.event_id for event in in_order([first, circle, last])} == {
        first.event_id,
        report.event_id,
        last.event_id,
    }


def test_until_a_sequence_shows_what_had_happened_by_then() -> None:
    story = completed_triage()

    known = until(story.events, 6)

    assert [event.sequence for event in known if isinstance(event, SessionEvent)] == [1, 2, 3, 4, 5, 6]
    assert not any(isinstance(event, events.ToolCompleted) for event in known)
    assert until(story.events, 0) == []


def test_a_long_goal_is_cut_and_stays_on_its_line() -> None:
    goal = "line one\nline two " + "x" * 1000
    text = summary(received(Story(), goal=goal))
    assert text.startswith("task for triage: line one\\nline two xxx")
    assert len(text) == LONGEST


@pytest.mark.parametrize(
    ("milliseconds", "shown"), [(0, "0 ms"), (999, "999 ms"), (2449, "2.4 s"), (185_000, "3 min 5 s")]
)
def test_durations_read_as_people_say_them(milliseconds: int, shown: str) -> None:
    assert duration(milliseconds) == shown


def test_requests_without_a_response_are_listed_with_the_most_that_they_used() -> None:
    used = Usage(model_requests=1, requests_unsettled=2, tokens_unsettled=5_000)
    assert spent(used) == "1 model request, 2 requests without a response (at most 5,000 tokens)"
    cost = Usage(requests_unsettled=1, tokens_unsettled=9, cost_unsettled_micro_usd=1_500)
    assert spent(cost) == "1 request without a response (at most 9 tokens and $0.0015)"

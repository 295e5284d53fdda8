"""What `sessions show` prints: fields that programs rely on."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestrator.errors import ContractError
from orchestrator.messages import events
from orchestrator.messages.types import (
    CallKind,
    Document,
    Failure,
    Plan,
    Reference,
    Step,
    Value,
)
from orchestrator.messages.values import json_value, read_json, value_of
from orchestrator.sessions.replay import replay
from orchestrator.sessions.timeline import until
from orchestrator.sessions.view import SessionView, shown, view_of
from tests.support.stories import START, Story, completed_triage, planned, received


def viewed(story: Story, at: int | None = None) -> dict[str, Any]:
    session = replay(story.events, at).session
    assert session is not None
    view = view_of(session, until(story.events, at or session.sequence))
    plain: dict[str, Any] = json.loads(msgspec.json.encode(view))
    return plain


def test_a_completed_session_in_full() -> None:
    story = completed_triage()

    view = viewed(story)

    timeline = view.pop("timeline")
    assert view == {
        "correlation_id": story.correlation_id,
        "phase": "completed",
        "goal": "why did latency rise?",
        "agent": "triage",
        "plan": {
            "revision": 1,
            "turn": 1,
            "open": False,
            "planner": "playbook",
            "playbook": "incident-triage@1",
            "rationale": "",
            "steps": [
                {"id": "latency", "tool": "logs.statistics", "arguments": {"path": "a.log"}},
                {"id": "deploys", "capability": "deploys", "arguments": {}},
            ],
        },
        "result": "/checkout",
        "steps": [
            {"id": "latency", "tool": "logs.statistics", "status": "succeeded", "attempts": 1},
            {"id": "deploys", "tool": "deploys.read", "status": "succeeded", "attempts": 2},
        ],
        "tool_calls": 3,
        "model_requests": 0,
        "tokens": 1000,
        "tokens_cached": 0,
        "cost": 0.0025,
    }
    assert timeline[0] == {
        "sequence": 1,
        "type": "TaskReceived",
        "occurred_at": "2026-09-21T14:13:20.000000Z",
        "summary": "task for triage: why did latency rise?",
    }
    assert timeline[-1]["occurred_at"] == "2026-09-21T14:13:20.263000Z"
    assert len(timeline) == len(story.events)


def test_at_a_sequence_nothing_later_is_shown() -> None:
    view = viewed(completed_triage(), at=7)

    assert view["phase"] == "executing"
    assert view["result"] is None
    assert [step["status"] for step in view["steps"]] == ["running", "running"]
    assert [entry["sequence"] for entry in view["timeline"] if entry["sequence"]] == [1, 2, 3, 4, 5, 6, 7]
    assert view["tool_calls"] == 0


def test_a_session_that_is_being_planned_has_no_plan_yet() -> None:
    story = Story()
    received(story)
    view = viewed(story)
    assert (view["phase"], view["plan"], view["steps"]) == ("planning", None, [])


def test_a_steps_tool_is_empty_until_one_is_chosen() -> None:
    story = Story()
    planned(story)
    assert [step["tool"] for step in viewed(story)["steps"]] == ["logs.statistics", ""]


def _ended(kind: type[Any], **fields: Any) -> Story:
    story = Story()
    received(story)
    story.write(kind, 5, **fields)
    return story


FAILURE = Failure(code="gone", message="it is gone")


@pytest.mark.parametrize(
    ("story", "phase"),
    [
        (_ended(events.TaskFailed, failure=FAILURE), "failed"),
        (_ended(events.TaskCancelled, reason="no longer needed"), "cancelled"),
        (
            _ended(events.TaskEscalated, failure=FAILURE, dead_letter_id="x", expires_at=START),
            "escalated",
        ),
        (_ended(events.PlanRequested, call=Story().call(CallKind.PLAN)), "planning"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_phase_is_the_one_that_people_know(story: Story, phase: str) -> None:
    assert viewed(story)["phase"] == phase


def test_a_refused_task_has_no_goal() -> None:
    story = Story()
    submitted = received(Story()).submitted
    story.write(events.TaskRefused, 0, failure=FAILURE, submitted=submitted)
    assert (viewed(story)["phase"], viewed(story)["goal"]) == ("refused", "")


def test_references_are_shown_as_in_a_playbook() -> None:
    story = Story()
    received(story)
    call = story.call(CallKind.PLAN)
    story.write(events.PlanRequested, 1, call=call)
    bound = Document(
        body=json_value({"rows": [None], "title": "x"}),
        references=(Reference(into="/rows/0", step_id="a", at="/worst"),),
    )
    whole = Document(references=(Reference(step_id="a"),))
    steps = (
        Step(step_id="a", tool="t", arguments=Document(body=json_value({}))),
        Step(step_id="b", tool="t", arguments=bound),
        Step(step_id="c", tool="t", arguments=whole, after=("b",)),
    )
    story.write(events.PlanAccepted, 2, call=call, plan=Plan(steps=steps))

    assert viewed(story)["plan"]["steps"][1:] == [
        {"id": "b", "tool": "t", "arguments": {"rows": [{"$from": "a", "at": "/worst"}], "title": "x"}},
        {"id": "c", "tool": "t", "after": ["b"], "arguments": {"$from": "a"}},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (json_value({"a": 1}), {"a": 1}),
        (value_of(b"# Report", "text/markdown"), "# Report"),
        (value_of(b"\x89PNG", "image/png"), {"media_type": "image/png", "size": 4}),
        (Value(uri="values://1", size=9), {"uri": "values://1", "size": 9}),
    ],
)
def test_a_value_is_shown_as_what_it_is(value: Value | None, expected: object) -> None:
    assert shown(value) == expected


def test_a_large_result_is_read_from_the_value_store() -> None:
    stored = {"values://1": json_value({"a": 1})}
    assert shown(Value(uri="values://1"), lambda value: stored[value.uri or ""]) == {"a": 1}


def test_the_fields_are_exactly_these() -> None:
    assert SessionView.__struct_fields__ == (
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
    )


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000, b"{", b'"\xed\xa0\x80"'])
@pytest.mark.parametrize("read", [shown, read_json])
def test_bytes_that_only_claim_to_be_json_are_a_contract_error(
    read: Callable[[Value], Any], content: bytes
) -> None:
    with pytest.raises(ContractError, match="the value is not JSON"):
        read(value_of(content))

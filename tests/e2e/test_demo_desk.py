"""The research desk on the embedded broker, as its page shows it."""

import json
import re

import pytest

from orchestrator.app.demo import DESK, Outcome, run_demo
from orchestrator.messages import events
from orchestrator.sessions.timeline import timeline
from tests.support.pages import ROOT, blocks
from tests.support.shown_sessions import EVENT_LINE, like

PAGES = ("README.md", "docs/agents.md")
COMMAND = "$ orchestrator demo research-desk"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_demo(tmp_path_factory.mktemp("desk"), lambda _event: None, DESK)


def shown(page: str) -> list[str]:
    """The session on a page, line by line."""
    found = [block for block in blocks(ROOT / page, "console") if f"{COMMAND}\nTask:" in block]
    assert len(found) == 1
    return found[0].splitlines()


def test_it_answers_although_a_tool_failed(outcome: Outcome) -> None:
    assert [event.call.step_id for event in outcome.events if isinstance(event, events.StepFailed)] == [
        "turn3-1"
    ]
    assert outcome.result["missing"] == ["lab/element-report.md"]
    assert isinstance(outcome.events[-1], events.TaskCompleted)


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_events_of_this_session_in_order(outcome: Outcome, page: str) -> None:
    lines = [match for line in shown(page) if (match := EVENT_LINE.fullmatch(line))]
    entries = timeline(outcome.events)
    strange = [line[0] for line in lines if not any(like(entry, line) for entry in entries)]
    times = [line["time"] for line in lines]

    assert len(lines) > 5
    assert not strange, "\n".join(strange)
    assert times == sorted(times)


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_the_task_and_parts_of_the_answer(outcome: Outcome, page: str) -> None:
    lines = shown(page)
    answer = [line for line in lines[lines.index("") :] if line]
    printed = json.dumps(outcome.result, indent=2, ensure_ascii=False).splitlines()

    assert f"Task: {DESK.goal}" in lines
    assert len(answer) > 2
    strange = [
        line for line in answer if not any(found.startswith(line.removesuffix("…")) for found in printed)
    ]
    assert not strange, "\n".join(strange)


def test_the_turn_that_is_shown_was_spoken(outcome: Outcome) -> None:
    (text,) = blocks(ROOT / "docs" / "agents.md", "text")
    said = re.findall(r"^  model: (.+)$", text, re.MULTILINE)
    called = re.findall(r"^  model calls ([\w.]+) #\d+:", text, re.MULTILINE)
    plans = [event.plan for event in outcome.events if isinstance(event, events.PlanAccepted)]

    assert (said, called) in [([plan.rationale], [step.tool for step in plan.steps]) for plan in plans]

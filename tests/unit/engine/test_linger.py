"""What a poll waits for: progress reports linger, replies do not, an idle loop waits for tasks."""

import pytest

from orchestrator.engine.linger import may_linger
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.saga.replies import REPLIES
from tests.support.scripted_consumer import ScriptedConsumer, active_session, assignment_of, record

AWAITED = [kind for kind in REPLIES if kind is not events.ToolSelected]


SELECTED, STARTED = record(events.ToolSelected), record(events.ToolStarted)
COMPLETED, SUBMITTED = record(events.ToolCompleted), record(commands.SubmitTask)


@pytest.mark.parametrize("kind", AWAITED, ids=lambda kind: kind.__name__)
def test_no_reply_that_is_waited_for_lingers(kind: type[Message]) -> None:
    assert not may_linger([SELECTED, record(kind)])


def test_progress_reports_and_only_they_may_linger() -> None:
    assert may_linger([SELECTED, STARTED])
    assert not may_linger([SELECTED, SUBMITTED])
    assert not may_linger([record(events.ToolSelected, named=False)])


def test_a_selection_is_polled_with_the_reply_behind_it() -> None:
    group = ScriptedConsumer(SELECTED, COMPLETED, STARTED)
    assignment = assignment_of(group, ScriptedConsumer(), active_session())

    assert assignment.poll(100, 10, 0.01) == [SELECTED, COMPLETED]


def test_a_progress_report_that_nothing_follows_is_polled_alone() -> None:
    group = ScriptedConsumer(SELECTED)
    assignment = assignment_of(group, ScriptedConsumer(), active_session())

    assert assignment.poll(100, 10, 0.01) == [SELECTED]


def test_lingering_stops_at_the_limit_of_a_batch() -> None:
    assignment = assignment_of(ScriptedConsumer(*[SELECTED] * 5), ScriptedConsumer(), active_session())

    assert len(assignment.poll(3, 10, 0.01)) == 3


def test_with_active_sessions_a_poll_waits_for_events() -> None:
    group, tasks = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
    assignment_of(group, tasks, active_session()).poll(100, 10, 0.01)

    assert group.waits == [0.01]
    assert tasks.waits == []


def test_without_active_sessions_a_poll_waits_for_a_task() -> None:
    group, tasks = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
    polled = assignment_of(group, tasks).poll(100, 10, 0.01)

    assert group.waits == [0]
    assert tasks.waits == [0.01]
    assert polled == [SUBMITTED]


def test_without_capacity_for_a_task_a_poll_waits_for_events() -> None:
    """As before partitions are assigned: the loop must not spin without waiting."""
    group, waiting = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
    assignment_of(group, waiting).poll(100, 0, 0.01)

    assert group.waits == [0.01]
    assert waiting.waits == []

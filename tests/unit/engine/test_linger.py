"""What the loop waits for: news gathers with what is behind it, answers do not, a quiet loop waits for tasks."""

import pytest

from orchestrator.engine.linger import may_linger
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.saga.replies import REPLIES
from tests.support.scripted_consumer import ScriptedConsumer, active_session, assignment_of, record

ANSWERS = [kind for kind in REPLIES if kind is not events.ToolSelected]


SELECTED, STARTED = record(events.ToolSelected), record(events.ToolStarted)
COMPLETED, SUBMITTED = record(events.ToolCompleted), record(commands.SubmitTask)


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_no_answer_waits_for_company(kind: type[Message]) -> None:
    assert not may_linger([SELECTED, record(kind)])


def test_news_and_only_news_may_wait() -> None:
    assert may_linger([SELECTED, STARTED])
    assert not may_linger([SELECTED, SUBMITTED])
    assert not may_linger([record(events.ToolSelected, named=False)])


def test_a_selection_is_taken_with_the_answer_behind_it() -> None:
    group = ScriptedConsumer(SELECTED, COMPLETED, STARTED)
    owned = assignment_of(group, ScriptedConsumer(), active_session())

    assert owned.poll(100, 10, 0.01) == [SELECTED, COMPLETED]


def test_news_that_nothing_follows_is_taken_after_a_moment() -> None:
    group = ScriptedConsumer(SELECTED)
    owned = assignment_of(group, ScriptedConsumer(), active_session())

    assert owned.poll(100, 10, 0.01) == [SELECTED]


def test_no_more_gathers_than_a_transaction_takes() -> None:
    owned = assignment_of(ScriptedConsumer(*[SELECTED] * 5), ScriptedConsumer(), active_session())

    assert len(owned.poll(3, 10, 0.01)) == 3


def test_while_sessions_are_under_way_events_are_waited_for() -> None:
    group, tasks = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
    assignment_of(group, tasks, active_session()).poll(100, 10, 0.01)

    assert group.waits == [0.01]
    assert tasks.waits == []


def test_while_none_is_a_task_is_waited_for() -> None:
    group, tasks = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
    taken = assignment_of(group, tasks).poll(100, 10, 0.01)

    assert group.waits == [0]
    assert tasks.waits == [0.01]
    assert taken == [SUBMITTED]


def test_without_room_for_a_task_the_group_is_waited_for() -> None:
    """As before partitions come: the loop must not turn without waiting."""
    for active, tasks in ((0, None), (10, 0)):
        group, waiting = ScriptedConsumer(), ScriptedConsumer(SUBMITTED)
        assignment_of(group, waiting).poll(100, active, 0.01, tasks)

        assert group.waits == [0.01]
        assert waiting.waits == []

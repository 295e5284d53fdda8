"""The recorder stores each event once, with its positions, whatever is redelivered."""

import random
from collections.abc import Iterable, Sequence

import pytest
import sqlalchemy as sa

from orchestrator.errors import UnavailableError
from orchestrator.messages import commands, events
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import CATALOGUE, entry_of
from orchestrator.messages.types import CallKind, Failure
from orchestrator.sdk import Delivery, Plugins, SinkPlugin
from orchestrator.sessions import plugin, recorder
from orchestrator.sessions.queries import Wanted, listed, recorded_events
from orchestrator.sessions.recorder import SessionRecorder
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.tables import events as events_table
from tests.support.samples import sample_of
from tests.support.stories import START, Story, completed_triage, planned, received


def delivered(messages: Iterable[Event], partition: int = 0) -> list[Delivery]:
    """The messages as records of their topics, one after the other."""
    following: dict[str, int] = {}
    found = []
    for message in messages:
        topic = entry_of(type(message)).topic
        offset = following.get(topic, 0)
        following[topic] = offset + 1
        found.append(Delivery(topic, partition, offset, message.occurred_at // 1000, message))
    return found


def after(batch: Sequence[Delivery]) -> dict[tuple[str, int], int]:
    return {(one.topic, one.partition): one.offset + 1 for one in batch}


def test_it_is_declared_as_any_sink_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    declared = Plugins.of(plugin).by_name(SinkPlugin)["session-recorder"]

    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", url)
    made = declared.make()
    assert made.positions() == {}
    made.close()
    seen = {entry.name for entry in CATALOGUE if entry.kind == "event"}
    assert seen == {entry.name for entry in CATALOGUE if entry.name.startswith(declared.pattern[:-1])}


def test_everything_that_was_delivered_comes_back_as_it_was(store: SessionStore) -> None:
    story = completed_triage()
    batch = delivered(story.events)

    SessionRecorder(store).write(batch, after(batch))

    found = recorded_events(store, story.correlation_id)
    assert sorted(found, key=id_of) == sorted(story.events, key=id_of)


def id_of(event: Event) -> str:
    return event.event_id


def test_any_event_survives_the_way_through_the_store(store: SessionStore) -> None:
    samples = [
        sample_of(entry.message, event_id=entry.name, correlation_id="sample")
        for entry in CATALOGUE
        if issubclass(entry.message, Event) and entry.topic in recorder.RECORDED
    ]
    batch = delivered(samples)

    SessionRecorder(store).write(batch, after(batch))

    assert sorted(recorded_events(store, "sample"), key=id_of) == sorted(samples, key=id_of)


def test_the_list_shows_a_completed_session(store: SessionStore) -> None:
    story = completed_triage()
    batch = delivered(story.events)

    SessionRecorder(store).write(batch, after(batch))

    (row,) = listed(store, Wanted())
    assert (row.correlation_id, row.phase, row.goal) == (
        story.correlation_id,
        "completed",
        "why did latency rise?",
    )
    assert (row.agent, row.tenant, row.revision) == ("triage", "default", 1)
    assert (row.tool_calls, row.tokens, row.cost_micro_usd) == (3, 1000, 2500)
    assert (row.started_at, row.ended_at) == (START, START + 263_000)
    assert row.result is not None
    assert row.result.inline == b'"/checkout"'


@pytest.mark.parametrize("seed", range(10))
def test_a_restart_anywhere_repeats_nothing(url: str, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    log = delivered(completed_triage("one").events) + delivered(completed_triage("two").events, partition=1)
    dice.shuffle(log)
    log.sort(key=lambda one: one.offset)

    while True:
        # A restart: whatever was not stored is read again from the stored positions.
        store = SessionStore(url)
        sink = SessionRecorder(store)
        done = sink.positions()
        left = [one for one in log if one.offset >= done.get((one.topic, one.partition), 0)]
        if not left:
            break
        batch = left[: dice.randint(1, 7)]
        sink.write(batch, after(batch))
        sink.close()

    with store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(events_table)) == len(log)
    assert [row.tool_calls for row in listed(store, Wanted())] == [3, 3]
    store.close()


def test_a_batch_that_is_written_twice_is_stored_once(store: SessionStore) -> None:
    batch = delivered(completed_triage().events)
    sink = SessionRecorder(store)

    sink.write(batch, after(batch))
    before = listed(store, Wanted())
    sink.write(batch, after(batch))

    assert listed(store, Wanted()) == before
    assert sink.positions() == after(batch)


def test_a_message_that_is_in_its_topic_twice_is_stored_once(store: SessionStore) -> None:
    events_told = completed_triage().events
    batch = delivered(events_told + events_told)
    sink = SessionRecorder(store)

    sink.write(batch, after(batch))

    assert len(recorded_events(store, events_told[0].correlation_id)) == len(events_told)
    assert listed(store, Wanted())[0].tool_calls == 3


def test_a_recorder_that_lost_its_partition_changes_nothing(store: SessionStore) -> None:
    batch = delivered(completed_triage().events)
    SessionRecorder(store).write(batch, after(batch))

    late = batch[:5]
    SessionRecorder(store).write(late, after(late))

    assert SessionRecorder(store).positions() == after(batch)


def test_a_batch_that_fails_leaves_neither_events_nor_positions(store: SessionStore) -> None:
    batch = delivered(completed_triage().events)
    unstorable = [*batch, Delivery("events", 0, 10**9, 0, sample_of(events.ToolStarted, occurred_at=2**70))]
    sink = SessionRecorder(store)

    with pytest.raises((OverflowError, sa.exc.DataError)):
        sink.write(unstorable, after(unstorable))

    assert sink.positions() == {}
    assert listed(store, Wanted()) == []
    assert recorded_events(store, batch[0].message.correlation_id) == []


def test_positions_move_on_over_what_is_not_recorded(store: SessionStore) -> None:
    command = sample_of(commands.CancelTask)
    progress = sample_of(events.ToolProgressed)
    sink = SessionRecorder(store)

    sink.write(
        [Delivery("control", 0, 7, 0, command), Delivery("progress", 0, 3, 0, progress)],
        {
            ("control", 0): 8,
            ("progress", 0): 4,
        },
    )

    assert sink.positions() == {("control", 0): 8, ("progress", 0): 4}
    assert recorded_events(store, progress.correlation_id) == []


def test_odd_names_block_nothing(store: SessionStore) -> None:
    odd = sample_of(events.ToolStarted, event_id="a\x00b" + "c" * 400, correlation_id="d" * 400)
    batch = delivered([odd])

    SessionRecorder(store).write(batch, after(batch))

    assert recorded_events(store, "d" * 255) == [odd]


def _row(store: SessionStore, story: Story) -> tuple[str, int | None]:
    batch = delivered(story.events)
    SessionRecorder(store).write(batch, after(batch))
    (row,) = listed(store, Wanted())
    return row.phase, row.ended_at


def test_a_running_session_is_in_its_phase(store: SessionStore) -> None:
    story = Story()
    planned(story)
    assert _row(store, story) == ("executing", None)


def test_an_escalated_session_has_not_ended(store: SessionStore) -> None:
    story = Story()
    received(story)
    why = Failure(code="exhausted", message="gone")
    story.write(events.TaskEscalated, 5, failure=why, dead_letter_id="x", expires_at=START)
    assert _row(store, story) == ("escalated", None)


def test_a_cancel_without_a_task_ends_refused(store: SessionStore) -> None:
    story = Story()
    story.write(events.CancelRequested, 0, reason="typing error")
    story.write(events.RequestRefused, 5, request_type="agents.commands.CancelTask", reason="no such session")
    assert _row(store, story) == ("refused", START + 5000)


def test_a_run_that_timed_out_is_counted(store: SessionStore) -> None:
    story = Story()
    planned(story)
    story.write(events.CallTimedOut, 50, call=story.call(CallKind.TOOL, "latency"), next=None)
    batch = delivered(story.events)
    SessionRecorder(store).write(batch, after(batch))
    assert listed(store, Wanted())[0].tool_calls == 1


def test_sessions_are_found_by_phase_agent_tenant_and_time(store: SessionStore) -> None:
    log = delivered(completed_triage("a", tenant="acme").events)
    log += delivered(completed_triage("b", agent="writer").events, partition=1)
    story = Story("c")
    planned(story)
    log += delivered(story.events, partition=2)
    SessionRecorder(store).write(log, after(log))

    assert len(listed(store, Wanted())) == 3
    assert [row.agent for row in listed(store, Wanted(agent="writer"))] == ["writer"]
    assert [row.tenant for row in listed(store, Wanted(tenant="acme"))] == ["acme"]
    assert [row.phase for row in listed(store, Wanted(phase="executing"))] == ["executing"]
    assert len(listed(store, Wanted(limit=2))) == 2
    assert listed(store, Wanted(since=START + 1)) == []


def test_a_store_that_cannot_be_written_says_so(store: SessionStore, url: str) -> None:
    with store.writing() as connection:
        connection.execute(sa.text("drop table offsets"))
    batch = delivered(completed_triage().events)
    with pytest.raises(UnavailableError, match="ORCHESTRATOR_SESSIONS_URL"):
        SessionRecorder(store).write(batch, after(batch))

"""Sessions on a real Kafka: history written in transactions, read back, followed and recorded."""

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.kafka.topics import apply, plan
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.standalone import STANDALONE, session_partition
from orchestrator.client import Client
from orchestrator.client.connection import Connected
from orchestrator.client.settings import ClientSettings
from orchestrator.errors import ConfigurationError
from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.saga import Outcome
from orchestrator.sdk import Plugins, SinkPlugin
from orchestrator.sessions.log import logged_events
from orchestrator.sessions.queries import Wanted, listed, recorded_events
from orchestrator.sessions.recorder import SessionRecorder
from orchestrator.sessions.replay import replay
from orchestrator.sessions.store import SessionStore
from orchestrator.testing.memory import MemoryValues
from orchestrator.worker.host import Host, ProcessContext
from orchestrator.worker.sinks import SinkRunner, SinkSettings
from tests.support.samples import sample_of
from tests.support.stories import completed_triage

pytestmark = pytest.mark.integration

PARTITIONS = 3
_numbers = itertools.count()


class HistoryWriter:
    """Writes sessions as the orchestrator does, in transactions, and reports as services do."""

    def __init__(self, bus: KafkaBus, codec: Codec) -> None:
        self.bus = bus
        self.codec = codec
        self._history = bus.transactional_producer("history")
        self._history.init(Deadline.after(60))
        self._reports = bus.producer()
        self._looking = bus.consumer(STANDALONE)

    def writes(self, *own: Event, commit: bool = True) -> None:
        self._history.begin()
        for event in own:
            self._history.send(self.codec.encode(event, source="/orchestrator/0"))
        if commit:
            self._history.commit(Deadline.after(60))
        else:
            self._history.abort(Deadline.after(60))

    @contextmanager
    def still_open(self, event: Event) -> Iterator[None]:
        """An open transaction with the event."""
        before = self._end_of(event)
        self._history.begin()
        self._history.send(self.codec.encode(event, source="/orchestrator/0"))
        while self._end_of(event) == before:
            time.sleep(0.01)
        yield
        self._history.abort(Deadline.after(60))

    def _end_of(self, event: Event) -> int:
        home = session_partition(self.bus, Topic.SESSIONS, event.correlation_id)
        return self._looking.watermarks([home], Deadline.after(60), read_uncommitted=True)[home][1]

    def reports(self, *reported: Event) -> None:
        for event in reported:
            self._reports.send(self.codec.encode(event, source="/service/0"))
        assert self._reports.flush(Deadline.after(60)) == 0

    def plays(self, story: list[Event]) -> None:
        """The story, each run of own events in one transaction."""
        for own, run in itertools.groupby(story, key=lambda event: isinstance(event, SessionEvent)):
            if own:
                self.writes(*run)
            else:
                self.reports(*run)

    def close(self) -> None:
        self._history.close()
        self._reports.close()
        self._looking.close()


@pytest.fixture(scope="module")
def settings(kafka_stack: StackAddress) -> BusSettings:
    settings = BusSettings(
        bootstrap_servers=kafka_stack.bootstrap_servers,
        schema_registry_url=kafka_stack.schema_registry_url,
        topic_prefix="sessions-test.",
        partitions=PARTITIONS,
    )
    admin, deadline = KafkaBus(settings).admin, Deadline.after(60)
    apply(plan(admin, settings, deadline), admin, settings, deadline)
    return settings


@pytest.fixture(scope="module")
def writer(settings: BusSettings) -> Iterator[HistoryWriter]:
    writer = HistoryWriter(KafkaBus(settings), Codec(CatalogueIds()))
    yield writer
    writer.close()


@pytest.fixture
async def client(settings: BusSettings) -> AsyncIterator[Client]:
    async with Client(Connected(KafkaBus(settings), Codec(CatalogueIds()), MemoryValues())) as client:
        yield client


def triage(correlation_id: str = "") -> list[Event]:
    """A completed session of its own."""
    number = next(_numbers)
    told = completed_triage(f"integration-{number}").events
    return [replace(event, correlation_id=correlation_id or event.correlation_id) for event in told]


def test_a_session_is_read_straight_from_its_topics(writer: HistoryWriter) -> None:
    story, neighbour = triage(), triage()
    writer.plays(neighbour)
    writer.plays(story)

    logged = logged_events(writer.bus, writer.codec, story[0].correlation_id)

    assert logged.problems == ()
    assert sorted(logged.events, key=id_of) == sorted(story, key=id_of)
    found = replay(logged.events)
    assert found.problems == ()
    assert found.session is not None
    assert found.session.outcome is Outcome.COMPLETED


def id_of(event: Event) -> str:
    return event.event_id


def test_the_history_alone_is_enough(writer: HistoryWriter) -> None:
    story = triage()
    writer.plays(story)

    logged = logged_events(writer.bus, writer.codec, story[0].correlation_id, (Topic.SESSIONS,))

    assert [event.sequence for event in logged.events if isinstance(event, SessionEvent)] == list(
        range(1, 17)
    )
    assert replay(logged.events).session == replay(story).session


def test_aborted_events_are_not_read(writer: HistoryWriter) -> None:
    story = triage()
    own = [event for event in story if isinstance(event, SessionEvent)]
    writer.writes(*own[:3])
    writer.writes(*own[3:9], commit=False)
    writer.writes(*own[3:5])
    writer.writes(*own[5:7], commit=False)

    logged = logged_events(writer.bus, writer.codec, story[0].correlation_id)

    assert list(logged.events) == own[:5]
    assert replay(logged.events).problems == ()


def test_an_open_transaction_is_not_waited_for(writer: HistoryWriter) -> None:
    story = triage()
    own = [event for event in story if isinstance(event, SessionEvent)]
    writer.writes(*own[:3])

    with writer.still_open(own[3]):
        logged = logged_events(writer.bus, writer.codec, story[0].correlation_id)

    assert list(logged.events) == own[:3]


def test_a_gap_and_a_repetition_in_the_log_are_found(writer: HistoryWriter) -> None:
    story = triage()
    own = [event for event in story if isinstance(event, SessionEvent)]
    writer.writes(*own[:4], own[2], *own[6:])

    found = replay(logged_events(writer.bus, writer.codec, story[0].correlation_id).events)

    assert found.problems == ("event 3 appears twice", "events 5 to 6 are missing")
    assert found.session is not None
    assert found.session.sequence == 4


def test_a_session_without_records_has_no_events(writer: HistoryWriter) -> None:
    assert logged_events(writer.bus, writer.codec, "unknown").events == ()


async def test_a_client_sees_a_session_from_submit_to_result(client: Client, writer: HistoryWriter) -> None:
    handle = await client.submit("why did latency rise?")
    story = triage(handle.correlation_id)
    taken_back = sample_of(
        events.TaskFailed, correlation_id=handle.correlation_id, event_id="never", sequence=99
    )
    writer.writes(taken_back, commit=False)
    writer.plays(story)

    assert await handle.result(30) == "/checkout"
    seen = [event async for event in handle.events()]
    assert sorted(seen, key=id_of) == sorted(story, key=id_of)


async def test_a_session_of_another_client_is_found(client: Client, writer: HistoryWriter) -> None:
    story = triage()
    writer.plays(story)

    handle = await client.follow(story[0].correlation_id)

    assert await handle.result(30) == "/checkout"
    assert len([event async for event in handle.events()]) == len(story)


async def test_the_end_is_found_behind_markers_that_no_record_follows(
    client: Client, writer: HistoryWriter
) -> None:
    """Markers of transactions take offsets: a reader that waits for a record at the last offset waits for ever."""
    handle = await client.submit("why?")
    story = triage(handle.correlation_id)
    writer.plays(story)
    writer.writes(sample_of(events.TaskFailed, correlation_id=handle.correlation_id), commit=False)

    assert len([event async for event in handle.events()]) == len(story)


def test_the_recorder_stores_each_event_once_however_often_it_is_stopped(
    writer: HistoryWriter, tmp_path: Path
) -> None:
    stories = [triage() for _ in range(12)]
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    recorder = SinkPlugin("session-recorder", "agents.events.*", lambda: SessionRecorder(SessionStore(url)))
    host = Host(writer.bus, writer.codec, ProcessContext(Plugins(), MemoryValues()))
    host.start(Deadline.after(60))
    store = SessionStore(url)

    for number, story in enumerate(stories):
        running = SinkRunner(recorder, host, SinkSettings(batch=7))
        running.start()
        running.wait_ready(Deadline.after(60))
        writer.plays(story)
        if number % 3 == 0:
            running.stop(Deadline.after(60))
            continue
        _until(store, story)
        running.stop(Deadline.after(60))
    running = SinkRunner(recorder, host)
    running.start()
    for story in stories:
        _until(store, story)
    running.stop(Deadline.after(60))
    host.stop(Deadline.after(60))

    for story in stories:
        assert sorted(recorded_events(store, story[0].correlation_id), key=id_of) == sorted(story, key=id_of)
    ours = {story[0].correlation_id for story in stories}
    rows = [row for row in listed(store, Wanted(limit=1000)) if row.correlation_id in ours]
    assert [(row.phase, row.tool_calls, row.sequence) for row in rows] == [("completed", 3, 16)] * 12
    store.close()


def _until(store: SessionStore, story: list[Event]) -> None:
    """Waits until the whole story is recorded."""
    deadline = Deadline.after(60)
    while len(recorded_events(store, story[0].correlation_id)) < len(story):
        assert not deadline.passed
        time.sleep(0.02)


async def test_schemas_that_are_not_registered_are_named(settings: BusSettings, tmp_path: Path) -> None:
    elsewhere = ClientSettings(**settings.model_dump(), values_url=str(tmp_path))
    async with Client(elsewhere) as client:
        with pytest.raises(ConfigurationError, match="run `orchestrator schemas apply`"):
            await client.submit("why?")

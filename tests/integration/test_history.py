"""The history that plug-ins read, on a real Kafka: of transactions as they happen to be, and of whole sessions."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Position, Received
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.standalone import STANDALONE, read_backwards
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.signatures import UNSIGNED, Signatures
from orchestrator.sdk import History
from orchestrator.sessions import history
from orchestrator.sessions.history import HistoryReader, history_of
from tests.support.installation import Installation
from tests.support.samples import sample_of
from tests.support.stories import completed_triage
from tests.support.workers import Lab, until

pytestmark = pytest.mark.integration

TIMEOUT_S = 60.0
HISTORY = (Topic.SESSIONS, 0)
REPORTS = (Topic.EVENTS, 0)
MODULE = """
import json
from pathlib import Path

from orchestrator.sdk import Context, Event, Plan, PlanRequest, planner, step, subscriber, tool
from orchestrator.sdk.messages import types


@tool("count")
def count() -> int:
    return 3


@planner("counting", profile=types.AgentProfile(name="counter"))
async def counting(request: PlanRequest, context: Context) -> Plan:
    history = await context.history()
    return Plan([step("counted", count)], result=[entry.type for entry in history.timeline])


@subscriber("TaskCompleted", group="reports")
async def report(event: Event, context: Context) -> None:
    history = await context.history()
    text = json.dumps(
        {
            "own": [one.sequence for one in history.events],
            "steps": [one.step_id for one in history.plan.steps],
            "timeline": [[one.sequence, one.type, one.summary] for one in history.timeline],
        }
    )
    written = Path(__file__).with_name(event.correlation_id)
    written.with_suffix(".part").write_text(text)
    written.with_suffix(".part").rename(written)
"""
_numbers = itertools.count()


class Log(Lab):
    """One partition of each topic, and one orchestrator that writes to it in transactions."""

    def __init__(self, settings: BusSettings, signatures: Signatures = UNSIGNED) -> None:
        super().__init__(settings, signatures)
        self._history = self.bus.transactional_producer("history")
        self._history.init(Deadline.after(TIMEOUT_S))
        self._looking = self.bus.consumer(STANDALONE)

    def plays(self, story: list[Event]) -> None:
        """The story, each run of own events in one transaction."""
        for own, run in itertools.groupby(story, key=lambda event: isinstance(event, SessionEvent)):
            if own:
                with self.transaction(*run):
                    pass
            else:
                for event in run:
                    self.send(self.encoded(event))
                assert self.producer.flush(Deadline.after(TIMEOUT_S)) == 0

    @contextmanager
    def transaction(self, *own: Event, commit: bool = True) -> Iterator[None]:
        """Open inside the block, with all records written."""
        self._history.begin()
        before = self.written()
        for event in own:
            self._history.send(self.encoded(event))
        while self.written() < before + len(own):
            time.sleep(0.01)
        yield
        end = self._history.commit if commit else self._history.abort
        end(Deadline.after(TIMEOUT_S))

    def encoded(self, event: Event) -> Outgoing:
        return self.codec.encode(event, source="/test/0")

    def written(self) -> int:
        """The end of the sessions' partition, with what is not committed."""
        return self._ends(uncommitted=True)[HISTORY][1]

    def is_known(self) -> bool:
        try:
            return all(self._ends(uncommitted=uncommitted) for uncommitted in (False, True))
        except ConfigurationError:
            return False

    def _ends(self, *, uncommitted: bool) -> dict[Position, tuple[int, int]]:
        deadline = Deadline.after(TIMEOUT_S)
        return self._looking.watermarks([HISTORY, REPORTS], deadline, read_uncommitted=uncommitted)

    def close(self) -> None:
        self._history.close()
        self.producer.close()
        self._looking.close()


@pytest.fixture
def log(kafka_stack: StackAddress) -> Iterator[Log]:
    with closing(Log.on(kafka_stack.bootstrap_servers, partitions=1)) as log:
        until(log.is_known, "the broker knows the new topics")
        yield log


@pytest.fixture
def reader(log: Log) -> Iterator[HistoryReader]:
    with closing(HistoryReader(log.bus, log.codec, TIMEOUT_S)) as reader:
        yield reader


def triage() -> list[Event]:
    """A completed session of its own."""
    return list(completed_triage(f"history-{next(_numbers)}").events)


def own(story: list[Event]) -> list[SessionEvent]:
    return [event for event in story if isinstance(event, SessionEvent)]


async def test_a_session_is_read_with_what_services_reported(log: Log, reader: HistoryReader) -> None:
    neighbour, story = triage(), triage()
    log.plays(neighbour)
    log.plays(story)

    assert await reader.read(story[0].correlation_id) == history_of(story)


async def test_what_others_wrote_before_the_session_is_not_read(
    log: Log, reader: HistoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Received] = []

    def counted(*given: Any) -> Iterator[list[Received]]:
        with closing(read_backwards(*given)) as portions:
            for portion in portions:
                seen.extend(portion)
                yield portion

    monkeypatch.setattr(history, "read_backwards", counted)
    foreign = sample_of(events.TaskFailed, correlation_id=str(uuid4()))
    with log.transaction(*[foreign] * 5000):
        pass
    story = triage()
    log.plays(story)

    assert await reader.read(story[0].correlation_id) == history_of(story)
    assert len(seen) < 1000


async def test_a_record_that_says_it_is_old_hides_no_reports(log: Log, reader: HistoryReader) -> None:
    story = triage()
    log.plays(story)
    stranger = Producer({"bootstrap.servers": log.settings.bootstrap_servers})
    full = f"{log.settings.topic_prefix}{Topic.EVENTS}"
    stranger.produce(full, b"junk", b"k", 0, timestamp=1)
    for _ in range(499):
        stranger.produce(full, b"junk", b"k", 0)
    assert stranger.flush(60) == 0

    assert await reader.read(story[0].correlation_id) == history_of(story)


async def test_a_session_that_has_not_begun_has_no_history(log: Log, reader: HistoryReader) -> None:
    assert await reader.read(str(uuid4())) == History((), ())
    log.plays(triage())
    assert await reader.read(str(uuid4())) == History((), ())


async def test_a_session_that_is_longer_than_one_portion_is_read_whole(
    log: Log, reader: HistoryReader
) -> None:
    story = triage()
    first, *others = own(story)
    many = [replace(others[0], sequence=number, event_id=str(uuid4())) for number in range(2, 1700)]
    with log.transaction(first, *many):
        pass

    found = await reader.read(first.correlation_id)

    assert [event.sequence for event in found.events] == list(range(1, 1700))


async def test_what_is_not_committed_is_not_shown(log: Log, reader: HistoryReader) -> None:
    story = own(triage())
    with log.transaction(*story[:3]):
        pass
    with log.transaction(*story[3:9], commit=False):
        pass

    with log.transaction(*story[3:5]):
        found = await reader.read(story[0].correlation_id)

    assert list(found.events) == story[:3]
    assert list((await reader.read(story[0].correlation_id)).events) == story[:5]


async def test_a_long_transaction_hides_what_is_behind_it_and_nothing_else(
    log: Log, reader: HistoryReader
) -> None:
    """Nothing behind an open transaction is readable, however much of it there is."""
    story = own(triage())
    with log.transaction(*story[:3]):
        pass
    foreign = sample_of(events.TaskFailed, correlation_id=str(uuid4()))

    with log.transaction(*[foreign] * 1200):
        found = await reader.read(story[0].correlation_id)

    assert list(found.events) == story[:3]


def test_portions_are_the_newest_first_and_miss_nothing(log: Log) -> None:
    foreign = sample_of(events.TaskFailed, correlation_id=str(uuid4()))
    for _ in range(3):
        with log.transaction(*[foreign] * 1000):
            pass
    # Every 1,001st offset is the marker of a transaction. The broker writes the last one after it has answered.
    until(lambda: log.written() == 3003, "the last marker is written")

    with closing(read_backwards(log.bus, HISTORY, Deadline.after(TIMEOUT_S), lambda: False)) as found:
        portions = [[received.offset for received in portion] for portion in found]

    assert [(portion[0], portion[-1]) for portion in portions] == [(2503, 3001), (1503, 2502), (0, 1502)]
    assert sorted(itertools.chain.from_iterable(portions)) == [
        received.offset for received in log.read(Topic.SESSIONS)
    ]


async def test_a_reading_ends_with_its_process(log: Log) -> None:
    reader = HistoryReader(log.bus, log.codec, TIMEOUT_S)
    story = own(triage())
    with log.transaction(*story):
        reading = [asyncio.create_task(reader.read(story[0].correlation_id)) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.to_thread(reader.close)
        ended = await asyncio.gather(*reading, return_exceptions=True)

    assert all(isinstance(one, UnavailableError | asyncio.CancelledError | History) for one in ended)
    with pytest.raises(UnavailableError, match="the process stops"):
        await reader.read(story[0].correlation_id)


def test_plug_ins_of_a_running_installation_read_the_session(
    kafka_stack: StackAddress, tmp_path: Path
) -> None:
    module = tmp_path / "counting.py"
    module.write_text(MODULE)
    installation = Installation(kafka_stack, f"history-{uuid4().hex[:8]}.", tmp_path)
    installation.apply()
    services = ("planner", "tool-selector", "tool-executor", "evaluator", "recovery", "reports")

    with installation.processes(("orchestrator",), (*services, "--module", str(module))):
        done = installation.json("submit", "count", "--agent", "counter", "--wait")
        report = reported(tmp_path / done["correlation_id"])
        shown = installation.json("sessions", "show", done["correlation_id"], "--from-log")

    assert done["result"] == ["TaskReceived", "PlanRequested"]
    assert report["own"] == list(range(1, len(report["own"]) + 1))
    assert report["steps"] == ["counted"]
    assert report["timeline"] == [
        [entry["sequence"], entry["type"], entry["summary"]] for entry in shown["timeline"]
    ]


def reported(file: Path) -> Any:
    """What the subscriber wrote, once it has."""
    deadline = Deadline.after(TIMEOUT_S)
    while not file.exists():
        assert not deadline.passed
        time.sleep(0.02)
    return json.loads(file.read_text())

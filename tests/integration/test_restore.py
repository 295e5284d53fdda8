"""What a partition is restored from, and when a restore is refused, on a real Kafka."""

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # not re-exported
from msgspec.structs import replace

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Reading, Start
from orchestrator.bus.topic_names import TopicNames
from orchestrator.engine.assignment import GROUP
from orchestrator.engine.recovery.partition_counts import SESSION_TOPICS
from orchestrator.engine.state import snapshots
from orchestrator.errors import ConfigurationError
from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.base import Message, Record
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import (
    EndedSessions,
    Failure,
    FailureKind,
    PartitionCheckpoint,
    SessionSnapshot,
)
from orchestrator.messages.values import value_of
from orchestrator.saga import STATE_VERSION
from tests.support.saga_lab import SagaLab, count_ended, states
from tests.support.workers import until

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(kafka_stack: StackAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SagaLab:
    monkeypatch.setattr("orchestrator.engine.state.partition.CHECKPOINT_EVERY_MICROS", 200_000)
    return SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions=1)


def write(lab: SagaLab, *messages: Message | Record) -> None:
    """Writes as the orchestrator does."""
    producer = lab.bus.transactional_producer("intruder")
    producer.init(Deadline.after(30))
    producer.begin()
    for message in messages:
        producer.send(replace(lab.codec.encode(message, source="/test/0"), partition=0))
    producer.commit(Deadline.after(30))
    producer.close()


def snapshot_records(lab: SagaLab, kind: type[Record]) -> list[Record]:
    """Records of a type in the snapshots topic."""
    found = [
        lab.codec.decode(each) for each in lab.installation.read(Topic.SNAPSHOTS) if each.value is not None
    ]
    return [each for each in found if isinstance(each, kind)]


def checkpoints(lab: SagaLab) -> list[PartitionCheckpoint]:
    return [
        each for each in snapshot_records(lab, PartitionCheckpoint) if isinstance(each, PartitionCheckpoint)
    ]


def delete_history(lab: SagaLab, before: int) -> None:
    name = TopicNames(lab.installation.settings.topic_prefix).full(Topic.SESSIONS)
    for deleted in lab.bus.admin.delete_records([TopicPartition(name, 0, before)]).values():
        deleted.result()


def grow(lab: SagaLab, count: int, *topics: Topic) -> None:
    """Gives topics more partitions."""
    names = TopicNames(lab.installation.settings.topic_prefix)
    wanted = [NewPartitions(names.full(topic), count) for topic in topics]
    for grown in lab.bus.admin.create_partitions(wanted).values():
        grown.result()

    def is_known() -> bool:
        lab.bus._counts.clear()
        return all(lab.bus.partitions(topic) == count for topic in topics)

    until(is_known, "the topics have grown")


def mark(lab: SagaLab) -> int:
    """The low-water mark of the last checkpoint; -1 without one."""
    found = checkpoints(lab)
    return found[-1].low_water_mark if found else -1


def begun(lab: SagaLab, count: int = 3) -> list[str]:
    """Sessions that wait for their plans, and a checkpoint whose mark no other session holds back."""
    names = lab.submit(*(lab.new_id() for _ in range(count)))
    with lab.running():
        for name in names:
            lab.until_history(name, "PlanRequested")
        until(lambda: bool(checkpoints(lab)), "a checkpoint")
    return names


def test_the_mark_follows_the_oldest_live_session(lab: SagaLab) -> None:
    with lab.services(), lab.running():
        lab.submit(*(lab.new_id() for _ in range(5)))
        until(lambda: count_ended(lab.histories(), "TaskCompleted") == 5, "all end")
        ended_at = lab.ends(Topic.SESSIONS)[Topic.SESSIONS, 0]
        until(lambda: mark(lab) >= ended_at - 1, "the mark")
    [oldest] = lab.submit(lab.new_id())
    with lab.running() as running:
        lab.until_history(oldest, "PlanRequested")
        for _ in range(3):
            [name] = lab.submit(lab.new_id())
            lab.until_history(name, "PlanRequested")
            lab.cancel(name)
            lab.until_history(name, "TaskCancelled")
            time.sleep(0.3)
    first = next(each.offset for each in lab.installation.read(Topic.SESSIONS) if each.key == oldest.encode())
    assert ended_at - 1 <= mark(lab) <= first
    assert list(states(running)) == [oldest]


def test_sessions_that_ended_before_the_mark_are_remembered(lab: SagaLab) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(5)))
    with lab.services(), lab.running():
        until(lambda: count_ended(lab.histories(), "TaskCompleted") == 5, "all end")
        end = lab.ends(Topic.SESSIONS)[Topic.SESSIONS, 0]
        until(lambda: mark(lab) >= end - 1, "the mark")
    delete_history(lab, mark(lab))
    lab.submit(*names)
    [last] = lab.submit(lab.new_id())
    with lab.running() as again:
        lab.until_history(last, "PlanRequested")

    assert again.loop.restored[0].events <= 1
    assert set(names) <= set(again.loop.partitions[0].ended)
    assert not set(names) & set(lab.histories())


def test_snapshots_replace_history(lab: SagaLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MIN_EVENT_BYTES", 500)
    names = lab.submit(*(lab.new_id() for _ in range(5)))
    with lab.running() as before:
        for name in names:
            lab.until_history(name, "PlanRequested")
        until(lambda: len(snapshot_records(lab, SessionSnapshot)) == 5, "snapshots")
        end = lab.ends(Topic.SESSIONS)[Topic.SESSIONS, 0]
        until(lambda: mark(lab) >= end - 1, "the mark")
    delete_history(lab, mark(lab))
    with lab.running() as after:
        pass
    assert states(after) == states(before)
    assert after.loop.restored[0].snapshots == 5
    with lab.services(), lab.running():
        until(lambda: count_ended(lab.histories(), "TaskCompleted") == 5, "all end")
    with lab.running() as last:
        pass
    assert not states(last)


def test_a_session_that_holds_the_mark_back_is_snapshotted(
    lab: SagaLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.state.partition.MAX_AGE_MICROS", 500_000)
    [name] = lab.submit(lab.new_id())
    with lab.running() as before:
        lab.until_history(name, "PlanRequested")
        end = lab.ends(Topic.SESSIONS)[Topic.SESSIONS, 0]
        until(lambda: mark(lab) >= end - 1, "the mark")
        written = lab.ends(Topic.SNAPSHOTS)
        time.sleep(1.5)
        assert lab.ends(Topic.SNAPSHOTS) == written, "an idle partition writes nothing more"
    delete_history(lab, mark(lab))
    with lab.running() as after:
        pass
    assert states(after) == states(before)


def test_a_state_larger_than_a_message_goes_into_the_value_store(
    lab: SagaLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MAX_INLINE_BYTES", 300)
    monkeypatch.setattr(snapshots, "MIN_EVENT_BYTES", 500)
    [name] = lab.submit(lab.new_id())
    with lab.running() as before:
        lab.until_history(name, "PlanRequested")
        until(lambda: bool(snapshot_records(lab, SessionSnapshot)), "a snapshot")
    [found] = snapshot_records(lab, SessionSnapshot)
    assert isinstance(found, SessionSnapshot)
    assert found.state.uri
    with lab.running() as after:
        pass
    assert states(after) == states(before)


def test_history_deleted_above_the_mark_refuses_the_partition(lab: SagaLab) -> None:
    begun(lab)
    delete_history(lab, mark(lab) + 1)
    error = lab.failure_of()
    assert isinstance(error, ConfigurationError)
    assert "retention was too short" in str(error)


def test_a_recreated_history_refuses_the_partition(lab: SagaLab) -> None:
    begun(lab)
    lab.installation.recreate(Topic.SESSIONS)

    error = lab.failure_of()

    assert isinstance(error, ConfigurationError)
    assert "the sessions topic ends at 0: it was recreated" in str(error)


def snapshot_beyond_the_end(lab: SagaLab) -> str:
    """Writes a live session's snapshot as if one more event had been in its history; returns the session's id."""
    [name, *_] = begun(lab)
    with lab.running() as running:
        state = msgspec.msgpack.encode(running.loop.partitions[0].live[name].session)
    write(
        lab,
        SessionSnapshot(
            correlation_id=name,
            sequence=2,
            state_version=STATE_VERSION,
            state=value_of(state, snapshots.MEDIA_TYPE),
            sessions_offset=uncommitted_end(lab) + 1,
        ),
    )
    return name


def test_a_history_that_ends_before_the_snapshot_of_a_live_session_refuses_the_partition(
    lab: SagaLab,
) -> None:
    snapshot_beyond_the_end(lab)
    end = uncommitted_end(lab)

    error = lab.failure_of()

    assert isinstance(error, ConfigurationError)
    assert f"up to offset {end + 1}, but the sessions topic ends at {end}" in str(error)


def test_the_snapshot_of_an_ended_session_refuses_nothing(lab: SagaLab) -> None:
    name = snapshot_beyond_the_end(lab)
    lab.send_raw(Outgoing(Topic.SNAPSHOTS, name.encode(), None, (), 0))

    with lab.running() as running:
        is_restored = lab.new_id() not in states(running)

    assert is_restored


def test_a_gap_quarantines_its_session_alone(lab: SagaLab) -> None:
    broken, other = begun(lab, 2)
    last = lab.history(broken)[-1]
    write(lab, replace(last, sequence=last.sequence + 2))
    with lab.running() as running:
        until(lambda: len(lab.dead_letters()) == 1, "a dead letter")
        lab.cancel(broken)
        lab.cancel(other)
        lab.until_history(other, "TaskCancelled")
    [dead_letter] = lab.dead_letters()
    assert (dead_letter.correlation_id, dead_letter.failure.code) == (broken, "history_damaged")
    assert "event 4 follows event 2" in dead_letter.failure.message
    assert dead_letter.state is not None
    assert broken not in states(running)
    with lab.running():
        [third] = lab.submit(lab.new_id())
        lab.until_history(third, "PlanRequested")
    assert len(lab.dead_letters()) == 1
    assert "CancelRequested" not in lab.names(broken)


def test_an_event_that_was_written_twice_quarantines_its_session(lab: SagaLab) -> None:
    broken, _ = begun(lab, 2)
    write(lab, lab.history(broken)[-1])
    with lab.running():
        until(lambda: len(lab.dead_letters()) == 1, "a dead letter")
    assert lab.dead_letters()[0].correlation_id == broken


def test_a_damaged_snapshot_quarantines_its_session(lab: SagaLab, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, other = begun(lab, 2)
    write(
        lab,
        SessionSnapshot(
            correlation_id=broken,
            sequence=2,
            state_version=STATE_VERSION,
            state=value_of(msgspec.msgpack.encode("not a session")),
            sessions_offset=0,
        ),
    )
    with lab.running() as running:
        until(lambda: len(lab.dead_letters()) == 1, "a dead letter")
    assert list(states(running)) == [other]


NEWER = [
    lambda name: SessionSnapshot(
        correlation_id=name,
        sequence=2,
        state_version=STATE_VERSION + 1,
        state=value_of(b""),
        sessions_offset=0,
    ),
    lambda _name: PartitionCheckpoint(
        partition=0, partition_count=1, low_water_mark=0, batch=9, state_version=STATE_VERSION + 1
    ),
]


@pytest.mark.parametrize("newer", NEWER)
def test_a_newer_state_version_is_refused(lab: SagaLab, newer: Callable[[str], Record]) -> None:
    [name, *_] = begun(lab)
    write(lab, newer(name))
    error = lab.failure_of()
    assert isinstance(error, ConfigurationError)
    assert "run a version at least as new" in str(error)


def test_an_event_that_only_a_newer_version_knows_is_refused(lab: SagaLab) -> None:
    [name, *_] = begun(lab)
    record = lab.codec.encode(lab.history(name)[-1], source="/test/0")
    headers = (("ce_type", b"agents.events.StepImagined"), *record.headers[1:])
    lab.send_raw(Outgoing(Topic.SESSIONS, record.key, record.value, headers, 0))
    assert "StepImagined" in str(lab.failure_of())


def test_another_partition_count_is_refused(lab: SagaLab) -> None:
    begun(lab)
    grow(lab, 2, *SESSION_TOPICS)
    error = lab.failure_of()
    assert isinstance(error, ConfigurationError)
    assert "had 1 partitions" in str(error)


def test_topics_with_different_partition_counts_are_refused(lab: SagaLab) -> None:
    grow(lab, 3, Topic.CONTROL)
    with pytest.raises(ConfigurationError, match="must have one partition count"):
        lab.loop()


def test_a_checkpoint_without_committed_offsets_is_refused(lab: SagaLab) -> None:
    begun(lab)
    group = lab.installation.settings.topic_prefix + GROUP

    def deleted() -> bool:
        try:
            for deleting in lab.bus.admin.delete_consumer_groups([group]).values():
                deleting.result()
        except KafkaException:
            # A static member stays in its group until its session times out.
            return False
        return True

    until(deleted, "the group is deleted", 90)
    error = lab.failure_of()
    assert isinstance(error, ConfigurationError)
    assert "no committed offset" in str(error)


def test_a_restore_waits_for_the_open_transaction_of_another_slot(lab: SagaLab) -> None:
    """An open transaction of another slot hides what it wrote; the restore waits until it has ended."""
    begun(lab)
    other = lab.bus.transactional_producer("other-slot")
    other.init(Deadline.after(30))
    other.begin()
    [name] = [lab.new_id()]
    received = replace(lab.installation.messages(Topic.SESSIONS)[0], correlation_id=name)
    assert isinstance(received, events.TaskReceived)
    before = uncommitted_end(lab)
    other.send(replace(lab.codec.encode(received, source="/test/0"), partition=0))
    until(lambda: uncommitted_end(lab) > before, "it is in the log")

    running = lab.start()
    time.sleep(1)
    assert not running.loop.ready.is_set()
    other.commit(Deadline.after(30))
    lab.until_ready(running)
    running.stop()
    other.close()
    assert name in states(running)


def uncommitted_end(lab: SagaLab) -> int:
    consumer = lab.bus.consumer(Reading("ends", Start.BEGINNING))
    try:
        place = (Topic.SESSIONS, 0)
        return consumer.watermarks([place], Deadline.after(30), read_uncommitted=True)[place][1]
    finally:
        consumer.close()


def test_records_of_snapshots_that_nobody_of_ours_wrote_are_skipped(lab: SagaLab) -> None:
    names = begun(lab)
    stranger = str(uuid4())

    lab.send_raw(
        Outgoing(Topic.SNAPSHOTS, stranger.encode(), None, ((snapshots.CLAIM, b"\xff"),), 0),
        Outgoing(Topic.SNAPSHOTS, stranger.encode(), None, ((snapshots.CLAIM, b"no digits"),), 0),
        Outgoing(Topic.SNAPSHOTS, b"ended/\xff", None, (), 0),
        Outgoing(Topic.SNAPSHOTS, b"ended/" + b"9" * 5_000, None, (), 0),
        Outgoing(Topic.SNAPSHOTS, b"k", b"\x00\xff", (), 0),
    )
    write(
        lab,
        PartitionCheckpoint(
            partition=1, partition_count=1, low_water_mark=10**6, batch=9, state_version=STATE_VERSION
        ),
        EndedSessions(hour=1, chunk=7, ids=bytes(40), claims=bytes(5)),
        events.TaskFailed(
            event_id=str(uuid4()),
            correlation_id="no-uuid",
            occurred_at=1,
            sequence=1,
            failure=Failure(kind=FailureKind.PERMANENT, code="c", message="m"),
        ),
    )

    with lab.services(), lab.running():
        for name in names:
            lab.until_history(name, "TaskCompleted")

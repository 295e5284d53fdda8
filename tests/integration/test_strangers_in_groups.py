"""Somebody else in a group of ours: whoever may read with a group may join it, and commit any metadata for it."""

import threading
from base64 import b85encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.settings import BusSettings
from orchestrator.engine.loop import GROUP
from orchestrator.engine.offset_metadata import batch_number, partition_count_in
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from orchestrator.worker.loop import Worker
from orchestrator.worker.offsets import _varint
from tests.support.saga_lab import SagaLab, is_gapless
from tests.support.workers import TIMEOUT_S, Lab, echo, until

pytestmark = pytest.mark.integration

FAR: Final = "1r:" + b85encode(_varint(2**62)).decode()
"""All offsets up to the end of time are completed."""


@pytest.fixture
def lab(kafka_stack: StackAddress) -> Lab:
    return Lab.on(kafka_stack.bootstrap_servers)


def commit_as_another(
    settings: BusSettings, group: str, topic: Topic, offset: int, metadata: str, partition: int = 0
) -> None:
    """Commits for a group, once it has no members any more."""
    prefix = settings.topic_prefix
    consumer = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": f"{prefix}{group}"})
    place = TopicPartition(f"{prefix}{topic}", partition, offset, metadata)

    def is_accepted() -> bool:
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_MEMBER_ID:
                raise
            return False
        return True

    until(is_accepted, "the group has no members")
    consumer.close()


@pytest.mark.parametrize("metadata", [FAR, "1b:no base 85 at all", "1r:", "²b:x", "x" * 4_000])
def test_a_commit_of_others_hides_no_record(lab: Lab, metadata: str) -> None:
    # given: a service that was stopped, and a commit whose set of offsets is none of ours
    lab.execute(0, 1, partition=0)
    with lab.running(echo()):
        until(lambda: lab.completed() == [0, 1], "they are completed")
    commit_as_another(lab.settings, "echo", Topic.EXECUTE_COMMANDS, 2, metadata)
    lab.execute(2, 3, partition=0)

    # when it starts again
    with lab.running(echo()):
        until(lambda: lab.completed() == [0, 1, 2, 3], "the others are completed")
        lab.execute(4, partition=0)
        until(lambda: 4 in lab.completed(), "and what comes later")

    # then
    assert lab.completed() == [0, 1, 2, 3, 4]
    assert lab.committed("echo")[Topic.EXECUTE_COMMANDS, 0] == (5, "")


def test_a_partition_that_a_newer_release_committed_waits_and_the_others_go_on(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    commit_as_another(lab.settings, "echo", Topic.EXECUTE_COMMANDS, 0, "2b:x")
    lab.execute(0, partition=0)
    lab.execute(1, partition=1)

    with lab.running(echo()):
        until(lambda: lab.completed() == [1], "the other partition is read")
        lab.execute(2, partition=1)
        until(lambda: lab.completed() == [1, 2], "and goes on")

    assert lab.completed() == [1, 2]
    assert lab.committed("echo")[Topic.EXECUTE_COMMANDS, 0] == (0, "2b:x")
    assert "echo does not read execute.commands/0" in caplog.text
    assert "run that release" in caplog.text


def test_a_partition_count_that_others_contradict_is_a_commit_of_somebody_else(
    kafka_stack: StackAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given: two partitions with sessions, and a commit for one of them that says something else
    lab = SagaLab(Lab.on(kafka_stack.bootstrap_servers, partitions=2), tmp_path)
    sessions = [lab.new_id(partition=number) for number in (0, 1)]
    lab.submit(*sessions)
    with lab.running():
        for session in sessions:
            lab.until_history(session, "PlanRequested")
    offset, _ = lab.committed()[Topic.EVENTS, 1]
    commit_as_another(lab.installation.settings, GROUP, Topic.EVENTS, offset, "1/9", partition=1)

    # when an orchestrator starts
    with lab.services(), lab.running():
        for session in sessions:
            lab.until_history(session, "TaskCompleted")

    # then
    assert "says that there were 9 partitions, others and checkpoints say 2" in caplog.text


@pytest.mark.parametrize(
    ("beyond", "metadata", "said"),
    [
        (1_000, "", "is not in the log"),
        (0, "9/4/0", "says that there were 4 partitions"),
        (0, "1/2/99999999", "it says transaction 1"),
        (0, "", "names no transaction"),
    ],
    ids=["beyond the end", "another count", "an end of history", "no metadata"],
)
def test_what_a_checkpoint_contradicts_stops_no_orchestrator(
    beyond: int,
    metadata: str,
    said: str,
    kafka_stack: StackAddress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # given: sessions and checkpoints in all partitions, and commits of somebody else for all of them
    monkeypatch.setattr("orchestrator.engine.state.partition.CHECKPOINT_EVERY_MICROS", 200_000)
    lab = SagaLab(Lab.on(kafka_stack.bootstrap_servers, partitions=2), tmp_path)
    sessions = [lab.new_id(partition=number) for number in (0, 1)]
    lab.submit(*sessions)
    with lab.running():
        for session in sessions:
            lab.until_history(session, "PlanRequested")
        until(lambda: checkpointed(lab) == {0, 1}, "all partitions have checkpoints")
    for (topic, partition), (offset, _) in lab.committed().items():
        place = (lab.installation.settings, GROUP, topic, offset + beyond, metadata, partition)
        commit_as_another(*place)
    # and tasks that were submitted while no orchestrator ran
    later = [lab.new_id(partition=number) for number in (0, 1)]
    lab.submit(*later)

    # when an orchestrator starts
    with lab.services(), lab.running():
        for session in (*sessions, *later):
            lab.until_history(session, "TaskCompleted")
        until(lambda: all(is_ours(each) for _, each in lab.committed().values()), "it commits for all again")

    # then nothing was done twice
    assert said in caplog.text
    assert all(is_gapless(history) for history in lab.histories().values())


def checkpointed(lab: SagaLab) -> set[int]:
    """Partitions with a checkpoint."""
    return {each.partition for each in lab.installation.read(Topic.SNAPSHOTS) if each.key == b"checkpoint"}


def is_ours(metadata: str) -> bool:
    return partition_count_in(metadata) == 2 and batch_number(metadata) > 1 and metadata != "1/2/99999999"


@contextmanager
def stranger(settings: BusSettings, group: str, *topics: Topic, assignor: str) -> Iterator[None]:
    """A member of a group of ours that is none of ours, as `kafka-console-consumer --group` is."""
    prefix = settings.topic_prefix
    joined, leaving = threading.Event(), threading.Event()
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": f"{prefix}{group}",
            "partition.assignment.strategy": assignor,
            "enable.auto.commit": False,
        }
    )

    def stay() -> None:
        consumer.subscribe([f"{prefix}{topic}" for topic in topics], on_assign=lambda *_: joined.set())
        while not leaving.is_set():
            consumer.poll(0.1)
        consumer.close()

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        until(joined.is_set, "the stranger has joined", TIMEOUT_S)
        yield
    finally:
        leaving.set()
        thread.join()


def test_a_service_waits_for_a_stranger_with_another_assignor_to_leave(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.execute(0, 1)
    service = echo()
    with lab.host(service) as host:
        worker = Worker(service, host)
        with stranger(lab.settings, "echo", Topic.EXECUTE_COMMANDS, assignor="range"):
            worker.start()
            until(lambda: "which is none of ours" in caplog.text, "it is said")
            assert worker.failure is None
        until(lambda: lab.completed() == [0, 1], "the service has its partitions", TIMEOUT_S)
        worker.stop(Deadline.after(TIMEOUT_S))


def test_an_orchestrator_waits_for_a_stranger_to_leave(
    kafka_stack: StackAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = SagaLab(Lab.on(kafka_stack.bootstrap_servers, partitions=2), tmp_path)
    before, after = (lab.new_id(partition=number) for number in (0, 1))
    lab.submit(before)
    with lab.services(), lab.running() as running:
        lab.until_history(before, "TaskCompleted")
        # when somebody looks at the events with the orchestrator's group
        with stranger(lab.installation.settings, GROUP, Topic.EVENTS, assignor="range"):
            until(lambda: "somebody else is a member" in caplog.text, "it is said", TIMEOUT_S)
            lab.submit(after)
        # then it goes on when the stranger has left
        lab.until_history(after, "TaskCompleted")
        assert running.failure is None

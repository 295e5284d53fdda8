"""A flood of records that cannot be processed slows down its topic, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.bus.ports import Outgoing
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS, Topic
from tests.support.saga_lab import SagaLab
from tests.support.workers import Lab, lab_settings, until

FLOOD = 5_000
"""More than the cap lets through while a session runs, also on a slow machine."""
BATCH = 50


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SagaLab]:
    with EmbeddedCluster({f"t.{spec.topic}": 1 for spec in TOPICS}) as cluster:
        yield SagaLab(Lab(lab_settings(cluster.bootstrap_servers, "t.", 1, fetch_wait_max_ms="5")), tmp_path)


def flood(lab: SagaLab, topic: Topic) -> None:
    lab.send_raw(*(Outgoing(topic, b"k", b"garbage", ()) for _ in range(FLOOD)))


def test_bad_tasks_wait_in_their_topic_while_active_sessions_go_on(lab: SagaLab) -> None:
    session = lab.new_id()
    with lab.running(batch=BATCH) as running:
        lab.submit(session)
        lab.until_history(session, "PlanRequested")
        flood(lab, Topic.TASKS)
        until(lambda: len(lab.dead_letters()) >= 100, "a burst of dead letters")
        with lab.services():
            lab.until_history(session, "TaskCompleted")

    dead_letters = lab.dead_letters()
    # Every bad task that was read has its dead letter; the others stay in their topic.
    assert len(dead_letters) + 1 == running.loop.partitions[0].positions[Topic.TASKS] < FLOOD
    assert {each.stage for each in dead_letters} == {"decode"}


def test_bad_events_are_read_and_the_replies_between_them_count(lab: SagaLab) -> None:
    session = lab.new_id()
    with lab.running(batch=BATCH) as running:
        lab.submit(session)
        lab.until_history(session, "PlanRequested")
        lab.send_raw(*(Outgoing(Topic.EVENTS, b"k", b"garbage", ()) for _ in range(110)))
        with lab.services():
            lab.until_history(session, "TaskCompleted")

    assert len(lab.dead_letters()) == 110
    assert running.loop.partitions[0].positions[Topic.EVENTS] > 110


def test_a_flood_in_one_partition_delays_no_other(tmp_path: Path) -> None:
    with EmbeddedCluster({f"t.{spec.topic}": 2 for spec in TOPICS}) as cluster:
        settings = lab_settings(cluster.bootstrap_servers, "t.", 2, fetch_wait_max_ms="5")
        lab = SagaLab(Lab(settings), tmp_path)
        for topic in (Topic.TASKS, Topic.CONTROL, Topic.EVENTS):
            lab.send_raw(*(Outgoing(topic, b"k", b"garbage", (), 0) for _ in range(FLOOD)))
        strangers = [lab.new_id(partition=1) for _ in range(10)]
        with lab.services(), lab.running(batch=BATCH) as running:
            until(lambda: len(lab.dead_letters()) >= 100, "a burst of dead letters")
            lab.submit(*strangers)
            for session in strangers:
                lab.until_history(session, "TaskCompleted")

        positions = running.loop.partitions[0].positions
        assert all(positions[topic] < FLOOD for topic in (Topic.TASKS, Topic.CONTROL, Topic.EVENTS))

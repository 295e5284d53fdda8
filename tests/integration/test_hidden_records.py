"""Records behind a transaction that stays open are told of, on a real Kafka."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from confluent_kafka import Producer

from orchestrator.app.hidden_records import HiddenRecords
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from orchestrator.telemetry.metrics import ProcessMetrics
from tests.support.workers import TIMEOUT_S, Lab, until

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(kafka_stack: StackAddress) -> Lab:
    return Lab.on(kafka_stack.bootstrap_servers, partitions=2)


@contextmanager
def open_transaction(lab: Lab, name: str) -> Iterator[None]:
    """A stranger's, with one record in a partition of the tasks; it ends with the block."""
    settings = {"bootstrap.servers": lab.settings.bootstrap_servers}
    stranger = Producer({**settings, "transactional.id": f"{lab.settings.topic_prefix}{name}"})
    stranger.init_transactions(60)
    stranger.begin_transaction()
    stranger.produce(f"{lab.settings.topic_prefix}{Topic.TASKS}", b"v", b"k", 0)
    assert stranger.flush(60) == 0
    yield
    stranger.commit_transaction(60)


def submit(lab: Lab, count: int) -> None:
    for _ in range(count):
        lab.send(Outgoing(Topic.TASKS, b"k", b"v", (), 0))
    assert lab.producer.flush(Deadline.after(TIMEOUT_S)) == 0


def stable_end(lab: Lab) -> int:
    """The end of what can be read."""
    place = Topic.TASKS, 0
    return lab.bus.watermarks([place], Deadline.after(TIMEOUT_S))[place][1]


def hidden(metrics: ProcessMetrics) -> float:
    [value] = re.findall(
        r'^agents_records_hidden\{topic="tasks"\} (.*)$', metrics.exposition().decode(), re.MULTILINE
    )
    return float(value)


def test_records_behind_an_open_transaction_are_told_of_until_it_ends(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = ProcessMetrics()
    watch = HiddenRecords(lab.bus, [Topic.TASKS, Topic.EVENTS], metrics)
    caplog.set_level("INFO")
    with open_transaction(lab, "first"):
        submit(lab, 3)
        watch.look()
        assert hidden(metrics) == 0, "it may be one of ours, which ends soon"
        watch.look()
        assert hidden(metrics) == 4
        watch.look()
    assert caplog.text.count("4 records of tasks wait behind transactions") == 1

    def is_over() -> bool:
        watch.look()
        return hidden(metrics) == 0

    until(is_over, "the end of the transaction is seen")
    assert "no record of tasks waits" in caplog.text


def test_transactions_that_overlap_count_as_one(lab: Lab) -> None:
    metrics = ProcessMetrics()
    watch = HiddenRecords(lab.bus, [Topic.TASKS], metrics)
    with ExitStack() as second:
        with open_transaction(lab, "first"):
            second.enter_context(open_transaction(lab, "second"))
            submit(lab, 1)
            watch.look()
        until(lambda: stable_end(lab) == 1, "the first one has ended")

        watch.look()

        assert hidden(metrics) == 3, "what the second one has written, the task, and the end of the first one"


def test_transactions_that_end_soon_hide_nothing(lab: Lab) -> None:
    metrics = ProcessMetrics()
    watch = HiddenRecords(lab.bus, [Topic.TASKS], metrics)
    for number in (1, 2, 3):
        with open_transaction(lab, f"number-{number}"):
            watch.look()
        until(lambda end=2 * number: stable_end(lab) == end, "its end is known")  # type: ignore[misc]

    watch.look()

    assert hidden(metrics) == 0

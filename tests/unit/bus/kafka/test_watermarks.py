"""Where logs end, while leaders come and go."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Outgoing, Position, Reading, Start
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import Topic
from tests.support.mock_broker import NO_BROKER, MockBroker

PARTITIONS = 4
EVENTS: list[Position] = [(Topic.EVENTS, number) for number in range(PARTITIONS)]
READING = Reading("looking", Start.BEGINNING)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"agents.events": PARTITIONS}) as cluster:
        yield cluster


@pytest.fixture
def bus(cluster: EmbeddedCluster) -> KafkaBus:
    quiet = {"log_level": SecretStr("0")}
    return KafkaBus(BusSettings(bootstrap_servers=cluster.bootstrap_servers, kafka=quiet))


@pytest.fixture
def broker(cluster: EmbeddedCluster) -> Iterator[MockBroker]:
    broker = MockBroker(cluster)
    yield broker
    lead_all(broker, 1)


def lead_all(broker: MockBroker, by: int) -> None:
    for number in range(PARTITIONS):
        broker.lead("agents.events", number, by)


@pytest.mark.parametrize("read_uncommitted", [True, False])
def test_the_ends_of_all_partitions_are_read_at_once(bus: KafkaBus, *, read_uncommitted: bool) -> None:
    consumer, producer = bus.consumer(READING), bus.producer()
    before = consumer.watermarks(EVENTS, Deadline.after(20), read_uncommitted=read_uncommitted)
    producer.send(Outgoing(Topic.EVENTS, b"k", b"v", (), partition=2))
    assert producer.flush(Deadline.after(20)) == 0

    after = consumer.watermarks(EVENTS, Deadline.after(20), read_uncommitted=read_uncommitted)

    assert list(after) == EVENTS
    grown = {number: after[_, number][1] - end for (_, number), (_first, end) in before.items()}
    assert grown == {0: 0, 1: 0, 2: 1, 3: 0}
    consumer.close()
    producer.close()


@pytest.mark.parametrize("partitions", [[1], [0, 1, 2, 3]])
def test_a_leader_that_is_lost_is_waited_for(
    bus: KafkaBus, broker: MockBroker, partitions: list[int]
) -> None:
    for number in partitions:
        broker.lead("agents.events", number, NO_BROKER)
    consumer = bus.consumer(READING)
    with pytest.raises(UnavailableError, match="reading watermarks failed"):
        consumer.watermarks(EVENTS, Deadline.after(0.2))

    back = threading.Timer(0.3, lead_all, (broker, 1))
    back.start()
    assert list(consumer.watermarks(EVENTS, Deadline.after(20))) == EVENTS
    back.join()
    consumer.close()


def test_a_partition_that_does_not_exist_is_not_waited_for(bus: KafkaBus) -> None:
    consumer = bus.consumer(READING)
    with pytest.raises(ConfigurationError, match="check topic_prefix"):
        consumer.watermarks([(Topic.EVENTS, PARTITIONS)], Deadline.after(20))
    consumer.close()


def test_deadlines_that_pass_at_once_do_no_harm(bus: KafkaBus, broker: MockBroker) -> None:
    """Threads read with hardly any time left, while leaders come and go."""
    until = time.monotonic() + 2.0
    found: list[dict[Position, tuple[int, int]]] = []

    def read() -> None:
        consumer = bus.consumer(READING)
        while time.monotonic() < until:
            with suppress(UnavailableError):
                consumer.watermarks(EVENTS, Deadline.after(0.001))
        found.append(consumer.watermarks(EVENTS, Deadline.after(20)))
        consumer.close()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        lead_all(broker, NO_BROKER)
        lead_all(broker, 1)
    for thread in threads:
        thread.join()
    assert [list(each) for each in found] == [EVENTS] * len(threads)

"""A consumer that does not rejoin its group after an outage, on librdkafka's built-in broker."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import OwnershipLost
from orchestrator.bus.kafka import consumer as kafka_consumer
from orchestrator.bus.kafka import membership as kafka_membership
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Assignor, Position, Reading, Start
from orchestrator.errors import UnavailableError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import Topic
from tests.support.mock_broker import MockBroker, Request
from tests.support.workers import lab_settings, until

PLACE: Position = (Topic.EVENTS, 0)


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({f"t.{topic}": 1 for topic in Topic}) as cluster:
        yield cluster


@pytest.fixture
def broker(cluster: EmbeddedCluster) -> MockBroker:
    return MockBroker(cluster)


@pytest.fixture
def bus(cluster: EmbeddedCluster) -> KafkaBus:
    quick = {"heartbeat_interval_ms": "100", "session_timeout_ms": "1500"}
    return KafkaBus(lab_settings(cluster.bootstrap_servers, "t.", 1, **quick))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_membership, "CHECK_S", 0.05)
    monkeypatch.setattr(kafka_membership, "REJOIN_TIMEOUT_S", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("assignor", list(Assignor))
def test_a_member_that_does_not_rejoin_is_replaced_by_a_new_client(
    bus: KafkaBus, broker: MockBroker, assignor: Assignor, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[Position] = []
    lost: list[Position] = []

    def on_assign(positions: tuple[Position, ...]) -> None:
        given.extend(positions)

    # given: a member with its partition, which its group forgets and does not let back in
    consumer = bus.consumer(Reading("group", Start.BEGINNING, assignor=assignor))
    consumer.subscribe([Topic.EVENTS], on_assign, lambda _: None, lost.extend)
    until(lambda: consumer.poll(0.05) is None and given == [PLACE], "it has its partition")
    first = consumer._client
    broker.answer(Request.JOIN_GROUP, *[KafkaError.COORDINATOR_NOT_AVAILABLE] * 1_000)
    broker.answer(Request.HEARTBEAT, KafkaError.UNKNOWN_MEMBER_ID)
    # when: that lasts
    until(lambda: _polled(consumer) is not first, "there is a new client")
    broker.forget_answers()
    # then: the partition was lost, and comes back
    until(lambda: _polled(consumer) is not None and given == [PLACE, PLACE], "it has its partition again")
    assert lost == [PLACE]
    consumer.close()
    assert "the consumer of group t.group did not rejoin it after an outage; abandoning it" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_a_member_that_waits_for_a_cluster_keeps_its_client(bus: KafkaBus, broker: MockBroker) -> None:
    consumer = bus.consumer(Reading("waiting", Start.BEGINNING))
    consumer.subscribe([Topic.EVENTS], lambda _: None, lambda _: None, lambda _: None)
    first = consumer._client
    with broker.slow(3_000):
        deadline = Deadline.after(2.0)
        while not deadline.passed:
            assert _polled(consumer) is first
    consumer.close()


def test_a_commit_that_does_not_return_abandons_its_client(
    bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Position] = []
    lost: list[Position] = []
    consumer = bus.consumer(Reading("group", Start.BEGINNING))
    consumer.subscribe([Topic.EVENTS], lambda new: given.extend(new), lambda _: None, lost.extend)
    until(lambda: consumer.poll(0.05) is None and given == [PLACE], "it has its partition")
    first, released = consumer._client, threading.Event()

    class Stuck:
        def commit(self, **_: object) -> None:
            released.wait(20)

        def close(self) -> None:
            first.close()

    consumer._client = Stuck()  # type: ignore[assignment]
    monkeypatch.setattr(kafka_consumer, "_COMMIT_S", 0.1)
    with pytest.raises(UnavailableError, match="did not return within"):
        consumer.commit({PLACE: (0, "")})
    released.set()
    until(lambda: _polled(consumer) is not None and given == [PLACE, PLACE], "it has its partition again")
    assert lost == [PLACE]
    monkeypatch.undo()
    until(lambda: _committed(consumer), "the new client commits")
    consumer.close()


def test_closing_returns_when_the_client_does_not(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = bus.consumer(Reading("group", Start.BEGINNING))
    client, deadline = consumer._client, Deadline.after(20)

    class Endless:
        def close(self) -> None:
            until(lambda: deadline.passed, "nobody waits for this", 60)

    monkeypatch.setattr(consumer, "_client", Endless())
    monkeypatch.setattr(kafka_consumer, "_CLOSE_S", 0.1)
    consumer.close()
    assert not deadline.passed
    client.close()


def _committed(consumer: kafka_consumer.KafkaConsumer) -> bool:
    try:
        consumer.commit({PLACE: (0, "")})
    except OwnershipLost:
        return False
    return True


def _polled(consumer: kafka_consumer.KafkaConsumer) -> object:
    """The client, after it was polled."""
    try:
        consumer.poll(0.05)
    except Exception:  # noqa: BLE001 - what a group answers meanwhile is of no interest
        return consumer._client
    return consumer._client

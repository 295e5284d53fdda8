"""What each answer of a broker means to the loops, on librdkafka's built-in broker.

It returns any error for any request. What it cannot show, isolation and stored offsets, is tested on a real
Kafka in `tests/integration/test_bus.py`.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, AmbiguousCommit, FatalError, FencedError, OwnershipLost
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.kafka.producer import KafkaTransactionalProducer
from orchestrator.bus.ports import Consumer, GroupMetadata, Outgoing, Reading, Start
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import Topic
from tests.support.mock_broker import MockBroker, Request

RECORD = Outgoing(Topic.EVENTS, b"k", b"v", ())
OFFSETS = {(Topic.EVENTS, 0): (1, "1")}
QUIET = {"log_level": SecretStr("0")}


def soon() -> Deadline:
    return Deadline.after(20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({f"agents.{topic}": 1 for topic in Topic}) as cluster:
        yield cluster


@pytest.fixture
def bus(cluster: EmbeddedCluster) -> KafkaBus:
    return bus_of(cluster)


def bus_of(cluster: EmbeddedCluster) -> KafkaBus:
    return KafkaBus(BusSettings(bootstrap_servers=cluster.bootstrap_servers, kafka=QUIET))


@pytest.fixture
def broker(cluster: EmbeddedCluster) -> Iterator[MockBroker]:
    broker = MockBroker(cluster)
    yield broker
    broker.forget_answers()


_groups = itertools.count()


@contextmanager
def joined(cluster: EmbeddedCluster) -> Iterator[Consumer]:
    """A consumer that is in a group of its own: the broker is slow to see a member leave."""
    consumer = bus_of(cluster).consumer(Reading(f"group-{next(_groups)}", Start.BEGINNING))
    assigned: list[object] = []
    consumer.subscribe([Topic.EVENTS], assigned.append, lambda _: None, lambda _: None)
    deadline = soon()
    while not assigned and not deadline.passed:
        consumer.poll(0.05)
    yield consumer
    consumer.close()


@pytest.fixture(scope="module")
def group(cluster: EmbeddedCluster) -> Iterator[GroupMetadata]:
    with joined(cluster) as consumer:
        yield consumer.group_metadata()


@pytest.fixture
def producer(bus: KafkaBus) -> Iterator[KafkaTransactionalProducer]:
    producer = bus.transactional_producer("slot-0")
    producer.init(soon())
    yield producer
    producer.close()


def transaction(producer: KafkaTransactionalProducer, group: GroupMetadata, deadline: Deadline) -> None:
    producer.begin()
    producer.send(RECORD)
    producer.send_offsets(OFFSETS, group, deadline)
    producer.commit(deadline)


@pytest.mark.parametrize(
    ("request_kind", "errors"),
    [
        (Request.PRODUCE, [KafkaError.NOT_LEADER_FOR_PARTITION]),
        (Request.ADD_OFFSETS_TO_TXN, [KafkaError.CONCURRENT_TRANSACTIONS]),
        (Request.TXN_OFFSET_COMMIT, [KafkaError.COORDINATOR_LOAD_IN_PROGRESS]),
        (Request.END_TXN, [KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR]),
    ],
)
def test_retriable_answers_are_retried(
    producer: KafkaTransactionalProducer,
    group: GroupMetadata,
    broker: MockBroker,
    request_kind: Request,
    errors: list[int],
) -> None:
    broker.answer(request_kind, *errors)
    transaction(producer, group, soon())


@pytest.mark.parametrize(
    "error", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID]
)
def test_a_transaction_of_a_former_owner_is_aborted_and_the_next_one_works(
    producer: KafkaTransactionalProducer, group: GroupMetadata, broker: MockBroker, error: int
) -> None:
    broker.answer(Request.TXN_OFFSET_COMMIT, error)
    with pytest.raises(AbortableError):
        transaction(producer, group, soon())
    producer.abort(soon())
    transaction(producer, group, soon())


def test_a_record_that_failed_before_offsets_are_sent_is_reported_with_its_reason(
    producer: KafkaTransactionalProducer, group: GroupMetadata, broker: MockBroker
) -> None:
    producer.begin()
    broker.answer(Request.PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    producer.send(RECORD)
    assert producer._flushed(soon()) == 0
    producer.send(RECORD)
    with pytest.raises(AbortableError, match="MSG_SIZE_TOO_LARGE") as aborted:
        producer.send_offsets(OFFSETS, group, soon())
    assert aborted.value.refused


@pytest.mark.parametrize("error", [KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED])
def test_a_producer_whose_id_was_taken_over_is_fenced(
    producer: KafkaTransactionalProducer, group: GroupMetadata, broker: MockBroker, error: int
) -> None:
    broker.answer(Request.END_TXN, error)
    with pytest.raises(FencedError, match="another instance took over"):
        transaction(producer, group, soon())
    with pytest.raises(FatalError):
        producer.begin()


def test_a_commit_that_is_not_answered_in_time_is_ambiguous(
    producer: KafkaTransactionalProducer, group: GroupMetadata, broker: MockBroker
) -> None:
    producer.begin()
    producer.send(RECORD)
    producer.send_offsets(OFFSETS, group, soon())
    assert producer._flushed(soon()) == 0
    with broker.slow(3_000), pytest.raises(AmbiguousCommit, match="may or may not be committed"):
        producer.commit(Deadline.after(0.3))


def test_an_answer_after_the_deadline_does_no_harm(
    bus: KafkaBus, group: GroupMetadata, broker: MockBroker
) -> None:
    for number in range(5):
        producer = bus.transactional_producer(f"late-{number}")
        producer.init(soon())
        producer.begin()
        producer.send(RECORD)
        producer.send_offsets(OFFSETS, group, soon())
        assert producer._flushed(soon()) == 0
        with broker.slow(200):
            with pytest.raises(AmbiguousCommit):
                producer.commit(Deadline.after(0.05))
            # Nothing reports when the answer arrives, and waiting for it must not be needed.
            time.sleep(0.25)
        producer.close()


def test_a_commit_whose_records_did_not_arrive_is_not_ambiguous(
    producer: KafkaTransactionalProducer, group: GroupMetadata, broker: MockBroker
) -> None:
    producer.begin()
    producer.send_offsets(OFFSETS, group, soon())
    with broker.slow(3_000):
        producer.send(RECORD)
        with pytest.raises(AbortableError, match="1 records of the transaction were not acknowledged"):
            producer.commit(Deadline.after(0.3))


def test_a_coordinator_that_is_not_found_by_the_deadline_makes_the_producer_unusable(
    bus: KafkaBus, group: GroupMetadata, broker: MockBroker
) -> None:
    """The call would never return, whatever its timeout."""
    stuck = bus.transactional_producer("stuck")
    stuck.init(soon())
    stuck.begin()
    stuck.send(RECORD)
    broker.answer(Request.FIND_COORDINATOR, *[KafkaError.COORDINATOR_NOT_AVAILABLE] * 100)
    with pytest.raises(FatalError, match="did not return by the deadline"):
        stuck.send_offsets(OFFSETS, group, Deadline.after(0.2))
    stuck.close()

    broker.forget_answers()
    another = bus.transactional_producer("stuck")
    another.init(soon())
    transaction(another, group, soon())
    another.close()


def test_a_deadline_holds_while_transactions_start(bus: KafkaBus, broker: MockBroker) -> None:
    producer = bus.transactional_producer("slot-1")
    with broker.slow(3_000), pytest.raises(UnavailableError, match="initializing transactions failed"):
        producer.init(Deadline.after(0.3))
    producer.close()


def test_denied_access_names_the_missing_right(bus: KafkaBus, broker: MockBroker) -> None:
    broker.answer(Request.INIT_PRODUCER_ID, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    producer = bus.transactional_producer("slot-2")
    with pytest.raises(ConfigurationError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        producer.init(soon())
    producer.close()


@pytest.mark.parametrize("error", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID])
def test_a_commit_after_a_rebalance_is_not_ours(
    cluster: EmbeddedCluster, broker: MockBroker, error: int
) -> None:
    with joined(cluster) as member:
        broker.answer(Request.OFFSET_COMMIT, error)
        with pytest.raises(OwnershipLost):
            member.commit(OFFSETS)


def test_a_consumer_outside_its_group_has_no_metadata(bus: KafkaBus) -> None:
    consumer = bus.consumer(Reading("group", Start.BEGINNING))
    with pytest.raises(OwnershipLost):
        consumer.group_metadata()
    consumer.close()


def test_a_delivery_is_reported_with_its_outcome(bus: KafkaBus, broker: MockBroker) -> None:
    producer = bus.producer()
    outcomes: list[object] = []
    broker.answer(Request.PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    producer.send(RECORD, outcomes.append)
    assert producer.flush(soon()) == 0
    producer.send(RECORD, outcomes.append)
    assert producer.flush(soon()) == 0
    assert isinstance(outcomes[0], ContractError)
    assert outcomes[1:] == [None]
    producer.close()


def test_a_callback_that_raises_raises_from_poll(bus: KafkaBus) -> None:
    def broken(_: object) -> None:
        raise KeyError("why")

    consumer = bus.consumer(Reading("other-group", Start.BEGINNING))
    consumer.subscribe([Topic.EVENTS], broken, lambda _: None, lambda _: None)
    with pytest.raises(KeyError, match="why"):
        consumer.poll(20)
    consumer.close()


def test_a_setting_that_librdkafka_does_not_know_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r'"sasl\.mechanismus"'):
        KafkaBus(BusSettings(kafka={"sasl.mechanismus": SecretStr("x")})).producer()


def test_an_unreachable_cluster_is_named() -> None:
    bus = KafkaBus(BusSettings(bootstrap_servers="127.0.0.1:1", kafka=QUIET))
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        bus.consumer(Reading("g", Start.BEGINNING)).committed([(Topic.EVENTS, 0)], Deadline.after(0.5))

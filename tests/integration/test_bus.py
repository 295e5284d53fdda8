"""The clients on a real Kafka: committed records are seen once, aborted ones never, and offsets hold."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, FencedError, OffsetLost
from orchestrator.bus.kafka import topics
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import (
    BEGINNING,
    Assignor,
    Consumer,
    Outgoing,
    Position,
    Reading,
    Received,
    Start,
    TransactionalProducer,
)
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import TOPICS, Topic, TopicSpec
from orchestrator.telemetry.metrics import ProcessMetrics
from tests.support.samples import incompressible
from tests.support.topics import change_topic

pytestmark = pytest.mark.integration

PARTITIONS = 3
EVENTS = [(Topic.EVENTS, number) for number in range(PARTITIONS)]


def soon() -> Deadline:
    return Deadline.after(120)


@pytest.fixture
def settings(kafka_stack: StackAddress) -> BusSettings:
    """An installation of its own."""
    return BusSettings(
        bootstrap_servers=kafka_stack.bootstrap_servers,
        topic_prefix=f"bus-{uuid4().hex[:8]}.",
        partitions=PARTITIONS,
    )


@pytest.fixture
def bus(settings: BusSettings) -> KafkaBus:
    bus = KafkaBus(settings)
    topics.apply(topics.plan(bus.admin, settings, soon()), bus.admin, settings, soon())
    until(lambda: all(topic.in_order for topic in topics.plan(bus.admin, settings, soon())))
    return bus


def until(holds: Callable[[], bool]) -> None:
    """Waits until a change that the controller has accepted has reached the broker."""
    deadline = soon()
    while not holds():
        assert not deadline.passed
        time.sleep(0.02)


@pytest.fixture
def producer(bus: KafkaBus) -> Iterator[TransactionalProducer]:
    producer = bus.transactional_producer("slot-0")
    producer.init(soon())
    yield producer
    producer.close()


@pytest.fixture
def reader(bus: KafkaBus) -> Iterator[Consumer]:
    """Reads all events, without joining a group."""
    reader = bus.consumer(Reading("reader", Start.ERROR))
    reader.assign(dict.fromkeys(EVENTS, BEGINNING))
    yield reader
    reader.close()


def record(key: str, value: bytes = b"v", topic: Topic = Topic.EVENTS) -> Outgoing:
    return Outgoing(topic, key.encode(), value, (("ce_type", b"t"),))


def member_of(bus: KafkaBus, group: str, instance: str = "", assignor: Assignor = Assignor.RANGE) -> Consumer:
    """A member of a group that has its partitions, read from the beginning."""
    consumer = bus.consumer(Reading(group, Start.ERROR, instance, assignor))
    assigned: list[Position] = []

    def on_assign(positions: tuple[Position, ...]) -> dict[Position, int]:
        assigned.extend(positions)
        return dict.fromkeys(positions, BEGINNING)

    consumer.subscribe([Topic.EVENTS, Topic.CONTROL], on_assign, lambda _: None, lambda _: None)
    deadline = soon()
    while not assigned and not deadline.passed:
        consumer.poll(0.1)
    return consumer


def read_to(consumer: Consumer, ends: dict[Position, int]) -> list[Received]:
    """Everything up to these offsets, by position, as restoring does."""
    read: list[Received] = []
    deadline = soon()
    while any(consumer.position([each]).get(each, 0) < end for each, end in ends.items()):
        assert not deadline.passed
        if (first := consumer.poll(0.1)) is not None:
            read += [first, *consumer.drain(100)]
    return read


def ends_of(consumer: Consumer, *, read_uncommitted: bool = False) -> dict[Position, int]:
    marks = consumer.watermarks(EVENTS, soon(), read_uncommitted=read_uncommitted)
    return {position: end for position, (_, end) in marks.items()}


def test_committed_records_are_read_in_order_and_aborted_ones_never(
    producer: TransactionalProducer, reader: Consumer
) -> None:
    for batch in range(4):
        producer.begin()
        for number in range(20):
            producer.send(record(f"key-{number % 5}", f"{batch}/{number}".encode()))
        if batch % 2:
            producer.abort(soon())
        else:
            producer.commit(soon())
    read = read_to(reader, ends_of(reader, read_uncommitted=True))
    by_key = {key: [each.value for each in read if each.key == key.encode()] for key in ("key-0", "key-3")}
    assert by_key["key-0"] == [f"{batch}/{number}".encode() for batch in (0, 2) for number in (0, 5, 10, 15)]
    assert by_key["key-3"] == [f"{batch}/{number}".encode() for batch in (0, 2) for number in (3, 8, 13, 18)]
    assert len(read) == 40


def test_a_record_arrives_as_it_was_sent(bus: KafkaBus, reader: Consumer) -> None:
    producer = bus.producer()
    outcomes: list[object] = []
    producer.send(Outgoing(Topic.EVENTS, b"k", None, (("a", b"1"), ("a", b"2"), ("b", b""))), outcomes.append)
    producer.send(Outgoing(Topic.EVENTS, b"k", b"v", (), partition=2), outcomes.append)
    assert producer.flush(soon()) == 0
    assert outcomes == [None, None]
    tombstone, placed = sorted(read_to(reader, ends_of(reader)), key=lambda each: each.value is not None)
    assert (tombstone.topic, tombstone.key, tombstone.value) == (Topic.EVENTS, b"k", None)
    assert tombstone.headers == (("a", b"1"), ("a", b"2"), ("b", b""))
    assert tombstone.header("a") == b"1"
    assert tombstone.header("c") is None
    assert (placed.partition, placed.value, placed.headers) == (2, b"v", ())
    producer.close()


def test_keys_lie_where_murmur2_puts_them(bus: KafkaBus, reader: Consumer) -> None:
    producer = bus.producer()
    for number in range(50):
        producer.send(record(f"session-{number}"))
    producer.flush(soon())
    for each in read_to(reader, ends_of(reader)):
        assert each.partition == partition_of(each.key or b"", PARTITIONS)
    producer.close()


def test_open_transactions_are_seen_by_the_uncommitted_watermark_alone(
    producer: TransactionalProducer, reader: Consumer
) -> None:
    producer.begin()
    producer.send(Outgoing(Topic.EVENTS, b"k", b"v", (), partition=0))
    first = (Topic.EVENTS, 0)
    until(lambda: ends_of(reader, read_uncommitted=True)[first] == 1)
    assert ends_of(reader)[first] == 0
    producer.commit(soon())
    # The commit's marker takes an offset of its own, and is written after the commit was answered: until then
    # the committed end hides the record, which is why restoring asks for the uncommitted one.
    until(lambda: ends_of(reader)[first] == 2)
    assert len(read_to(reader, {first: 2})) == 1


def test_offsets_are_committed_with_the_transaction_or_not_at_all(
    bus: KafkaBus, producer: TransactionalProducer
) -> None:
    member = member_of(bus, "loop", "slot-0")
    position = (Topic.EVENTS, 1)
    assert member.committed(EVENTS, soon()) == {}
    for batch, kept in ((1, True), (2, False)):
        producer.begin()
        producer.send(record("k"))
        producer.send_offsets({position: (batch, f"batch {batch}")}, member.group_metadata(), soon())
        if kept:
            producer.commit(soon())
        else:
            producer.abort(soon())
    assert member.committed(EVENTS, soon()) == {position: (1, "batch 1")}
    member.close()


def test_a_second_producer_of_a_slot_fences_the_first(bus: KafkaBus, producer: TransactionalProducer) -> None:
    second = bus.transactional_producer("slot-0")
    second.init(soon())
    producer.begin()
    with pytest.raises(FencedError):
        _send_and_commit(producer)
    second.begin()
    _send_and_commit(second)
    second.close()


def _send_and_commit(producer: TransactionalProducer) -> None:
    producer.send(record("k"))
    producer.commit(soon())


def test_metadata_of_a_former_member_aborts_the_transaction(
    bus: KafkaBus, producer: TransactionalProducer
) -> None:
    former = member_of(bus, "group")
    metadata = former.group_metadata()
    former.close()
    current = member_of(bus, "group")
    producer.begin()
    producer.send(record("k"))
    with pytest.raises(AbortableError):
        producer.send_offsets({EVENTS[0]: (1, "")}, metadata, soon())
    producer.abort(soon())
    producer.begin()
    producer.send_offsets({EVENTS[0]: (1, "")}, current.group_metadata(), soon())
    producer.commit(soon())
    current.close()


def test_a_record_that_is_too_large_harms_nothing_else(
    producer: TransactionalProducer, reader: Consumer
) -> None:
    producer.begin()
    producer.send(record("k", b"small"))
    with pytest.raises(ContractError, match="size too large"):
        producer.send(record("k", b"x" * 2_000_000))
    producer.commit(soon())
    assert [each.value for each in read_to(reader, ends_of(reader))] == [b"small"]


def test_what_unpacks_to_much_more_is_packed_again(bus: KafkaBus, settings: BusSettings) -> None:
    # given: a topic that takes a few kilobytes at a time, as they are sent
    change_topic(bus, settings, Topic.EVENTS, "max.message.bytes", "10000")
    producer = bus.producer()
    outcomes: list[object] = []
    # when
    producer.send(record("k", b"x" * 900_000), outcomes.append)
    assert producer.flush(soon()) == 0
    producer.close()
    # then
    assert outcomes == [None]


def test_a_record_that_only_the_broker_finds_too_large_aborts_its_transaction(
    bus: KafkaBus, settings: BusSettings, producer: TransactionalProducer, reader: Consumer
) -> None:
    change_topic(bus, settings, Topic.EVENTS, "max.message.bytes", "1000")
    producer.begin()
    producer.send(record("k", incompressible(5_000).encode()))
    with pytest.raises(AbortableError):
        producer.commit(soon())
    producer.abort(soon())
    _committed_at_last(producer)
    assert [each.value for each in read_to(reader, ends_of(reader, read_uncommitted=True))] == [b"v"]


def _committed_at_last(producer: TransactionalProducer) -> None:
    """librdkafka may need one more round for a new epoch after a record was refused."""
    for _ in range(5):
        producer.begin()
        try:
            _send_and_commit(producer)
        except AbortableError:
            producer.abort(soon())
        else:
            return
    pytest.fail("no transaction was committed after an aborted one")


def test_equal_partitions_of_two_topics_go_to_one_member(bus: KafkaBus) -> None:
    member = member_of(bus, "loop", "slot-0")
    assert set(member.position(EVENTS)) <= set(EVENTS)
    # Given a second slot, each has the same numbers of both topics.
    owned: dict[str, set[Position]] = {"slot-1": set()}
    second = bus.consumer(Reading("loop", Start.BEGINNING, "slot-1", Assignor.RANGE))
    second.subscribe(
        [Topic.EVENTS, Topic.CONTROL],
        lambda positions: owned["slot-1"].update(positions),
        lambda _: None,
        lambda _: None,
    )
    deadline = soon()
    while not owned["slot-1"] and not deadline.passed:
        member.poll(0.05)
        second.poll(0.05)
    numbers = {topic: {number for each, number in owned["slot-1"] if each is topic} for topic in Topic}
    assert numbers[Topic.EVENTS] == numbers[Topic.CONTROL] != set()
    member.close()
    second.close()


def test_work_of_revoked_partitions_is_finished_inside_the_callback(bus: KafkaBus) -> None:
    # Given a cooperative member that commits its work when its partitions are revoked.
    consumer = bus.consumer(Reading("workers", Start.BEGINNING))
    owned: set[Position] = set()
    called: list[str] = []

    def on_revoke(positions: tuple[Position, ...]) -> None:
        consumer.commit(dict.fromkeys(positions, (7, "done")))
        called.append("revoked")

    consumer.subscribe(
        [Topic.EVENTS], lambda positions: owned.update(positions), on_revoke, lambda _: called.append("lost")
    )
    deadline = soon()
    while not owned and not deadline.passed:
        consumer.poll(0.1)
    # When it closes.
    consumer.close()
    consumer.close()
    # Then the commit held.
    assert called == ["revoked"]
    other = bus.consumer(Reading("workers", Start.BEGINNING))
    assert other.committed(EVENTS, soon()) == dict.fromkeys(EVENTS, (7, "done"))
    other.close()


def test_a_position_without_an_offset_is_reported_if_none_may_be_guessed(bus: KafkaBus) -> None:
    consumer = bus.consumer(Reading("strict", Start.ERROR, assignor=Assignor.RANGE))
    consumer.subscribe([Topic.EVENTS], lambda _: None, lambda _: None, lambda _: None)
    with pytest.raises(OffsetLost) as lost:
        read_to(consumer, {EVENTS[0]: 1})
    assert (lost.value.topic, lost.value.partition in range(PARTITIONS)) == (Topic.EVENTS, True)
    consumer.close()


def test_seeking_reads_again(bus: KafkaBus, reader: Consumer) -> None:
    producer = bus.producer()
    for number in range(10):
        producer.send(Outgoing(Topic.EVENTS, b"k", str(number).encode(), (), partition=0))
    producer.flush(soon())
    ends = {EVENTS[0]: 10}
    assert len(read_to(reader, ends)) == 10
    reader.seek({EVENTS[0]: 4})
    assert [each.offset for each in read_to(reader, ends)] == [4, 5, 6, 7, 8, 9]
    producer.close()


def test_lag_is_reported_for_groups_that_commit_elsewhere(
    settings: BusSettings, bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bus.kafka.stats.INTERVAL_MS", 50)
    metrics = ProcessMetrics()
    consumer = KafkaBus(settings, metrics=metrics).consumer(Reading("lagging", Start.ERROR))
    consumer.assign({EVENTS[0]: 0})
    producer = bus.producer()
    for _ in range(5):
        producer.send(Outgoing(Topic.EVENTS, b"k", b"v", (), partition=0))
    producer.flush(soon())
    line = 'agents_consumer_lag{group="lagging",partition="0",topic="events"} 4.0'
    deadline = soon()
    first = None
    while first is None and not deadline.passed:
        first = consumer.poll(0.1)
    consumer.pause([EVENTS[0]])
    while line not in metrics.exposition().decode() and not deadline.passed:
        consumer.poll(0.05)
    assert not deadline.passed
    consumer.close()
    producer.close()


def test_only_the_worker_reports_its_lag(
    settings: BusSettings, bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bus.kafka.stats.INTERVAL_MS", 50)
    metrics = ProcessMetrics()
    observed = KafkaBus(settings, metrics=metrics)
    own = observed.consumer(Reading("worker", Start.BEGINNING))
    other = observed.consumer(Reading("keeper", Start.ERROR))
    produced = bus.producer()
    produced.send(Outgoing(Topic.EVENTS, b"k", b"v", (), partition=0))
    produced.flush(soon())
    for consumer in (own, other):
        consumer.assign({EVENTS[0]: 0})
    deadline = soon()
    while 'group="keeper"' not in metrics.exposition().decode() and not deadline.passed:
        own.poll(0.05)
        other.poll(0.05)
    assert not deadline.passed
    assert 'group="worker"' not in metrics.exposition().decode()
    for closing in (own, other, produced):
        closing.close()


def test_topics_are_created_once_and_differences_are_reported(bus: KafkaBus, settings: BusSettings) -> None:
    plans = {each.topic: each for each in topics.plan(bus.admin, settings, soon())}
    assert all(each.in_order for each in plans.values())
    assert bus.partitions(Topic.SESSIONS) == PARTITIONS
    assert bus.partitions(Topic.CANCELLATIONS) == 1
    topics.apply(plans.values(), bus.admin, settings, soon())
    # Another retention is changed back.
    change_topic(bus, settings, Topic.TASKS, "retention.ms", "1000")
    [differing] = [each for each in topics.plan(bus.admin, settings, soon()) if not each.in_order]
    assert differing.changes == (topics.ConfigChange("retention.ms", "1000", "604800000"),)
    topics.apply([differing], bus.admin, settings, soon())
    until(lambda: all(each.in_order for each in topics.plan(bus.admin, settings, soon())))


def test_another_number_of_partitions_is_refused_before_anything_is_created(settings: BusSettings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    name = f"{settings.topic_prefix}events"
    admin.create_topics([NewTopic(name, PARTITIONS + 1)])[name].result()
    until(lambda: name in topics.partition_counts(admin, settings, soon()))
    plans = topics.plan(admin, settings, soon())
    with pytest.raises(
        ConfigurationError, match=rf"{name} has 4 partitions, the settings say 3.*set partitions to 4"
    ):
        topics.apply(plans, admin, settings, soon())
    assert [each.missing for each in topics.plan(admin, settings, soon())].count(False) == 1


def test_every_topic_has_what_the_catalogue_says(settings: BusSettings) -> None:
    def config(topic: Topic) -> dict[str, str]:
        spec: TopicSpec = next(spec for spec in TOPICS if spec.topic is topic)
        return topics.wanted_config(spec)

    assert config(Topic.SNAPSHOTS)["cleanup.policy"] == "compact"
    assert config(Topic.TASKS) == {"cleanup.policy": "delete", "retention.ms": "604800000"}


def test_a_topic_that_does_not_exist_is_named_with_the_command(settings: BusSettings) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"topic {settings.topic_prefix}tasks not found.*topics apply"
    ):
        KafkaBus(settings).partitions(Topic.TASKS)


def test_an_unreachable_cluster_is_named() -> None:
    nowhere = BusSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        topics.plan(KafkaBus(nowhere).admin, nowhere, Deadline.after(1))

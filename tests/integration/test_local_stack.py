"""The real Kafka and registry that we start ourselves: durable, isolated, and ended with this process."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import FrameType

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import LocalKafka, LocalRegistry, LocalStack, StackAddress
from orchestrator.local.process import EndedError
from tests.support import kafka_stack as stacks
from tests.support.processes import running

pytestmark = pytest.mark.integration

SECONDS = 30.0
START_SECONDS = 120.0

SHORT_SESSIONS = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
"""A killed node may return, and others take over its partitions, after its session: 9 s with Kafka's default."""

ORDER = '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}'
ORDER_WITH_AMOUNT = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "string"}, {"name": "amount", "type": "long"}]}"""
ORDER_WITH_DEFAULT = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "string"}, {"name": "amount", "type": "long", "default": 0}]}"""


class Interrupted(BaseException):
    """Raised by a signal's handler at any point."""


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A Kafka that tests may kill, pause and stop; each leaves it running."""
    with LocalKafka(tmp_path_factory.mktemp("own"), properties=SHORT_SESSIONS, short_lived=True) as kafka:
        yield kafka


def new_topic(bootstrap_servers: str, partitions: int = 1) -> str:
    name = f"test-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=partitions)])[name].result(SECONDS)
    return name


def produce(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    """Return when all in-sync replicas have them; fail if one value is refused."""
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: refused.append(error) if error else None)
    assert producer.flush(SECONDS) == 0
    assert not refused


def consume(bootstrap_servers: str, topic: str, count: int, isolation: str = "read_committed") -> list[bytes]:
    """The first `count` values of a topic, and no more."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "isolation.level": isolation,
    }
    values: list[bytes] = []
    deadline = Deadline.after(SECONDS)
    with Consumer(settings) as consumer:
        consumer.subscribe([topic])
        while len(values) < count and not deadline.passed:
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                value = message.value()
                assert isinstance(value, bytes)
                values.append(value)
    return values


def topics(bootstrap_servers: str, seconds: float = SECONDS) -> set[str]:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    return set(admin.list_topics(timeout=seconds).topics)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = Deadline.after(SECONDS)
    while not holds() and not deadline.passed:
        time.sleep(0.05)
    return holds()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running_in(folder: Path) -> str:
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in listed.splitlines() if str(folder) in line)


def test_what_is_produced_is_consumed(kafka_stack: StackAddress) -> None:
    topic = new_topic(kafka_stack.bootstrap_servers)

    produce(kafka_stack.bootstrap_servers, topic, b"one", b"two")

    assert consume(kafka_stack.bootstrap_servers, topic, 2) == [b"one", b"two"]


def test_requesting_an_unknown_topic_does_not_create_it(kafka_stack: StackAddress) -> None:
    refused: list[object] = []
    impatient = {"bootstrap.servers": kafka_stack.bootstrap_servers, "topic.metadata.propagation.max.ms": 1}
    producer = Producer({**impatient, "message.timeout.ms": 1000})

    producer.produce("test-no-such-topic", b"lost", on_delivery=lambda error, _: refused.append(error))
    producer.flush(SECONDS)

    assert [error is not None for error in refused] == [True]
    assert "test-no-such-topic" not in topics(kafka_stack.bootstrap_servers)


def test_read_committed_consumers_do_not_see_an_aborted_transaction(kafka_stack: StackAddress) -> None:
    servers = kafka_stack.bootstrap_servers
    topic = new_topic(servers)
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic})
    producer.init_transactions(SECONDS)

    for value, commit in ((b"first", True), (b"aborted", False), (b"second", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(SECONDS)
        (producer.commit_transaction if commit else producer.abort_transaction)(SECONDS)

    assert consume(servers, topic, 2) == [b"first", b"second"]
    assert consume(servers, topic, 3, "read_uncommitted") == [b"first", b"aborted", b"second"]


def test_no_transaction_may_stay_open_for_long(kafka_stack: StackAddress) -> None:
    quarter_of_an_hour = 15 * 60 * 1_000
    producer = Producer(
        {
            "bootstrap.servers": kafka_stack.bootstrap_servers,
            "transactional.id": f"patient-{uuid.uuid4().hex}",
            "transaction.timeout.ms": quarter_of_an_hour,
        }
    )

    with pytest.raises(KafkaException) as raised:
        producer.init_transactions(30)

    assert raised.value.args[0].name() == "INVALID_TRANSACTION_TIMEOUT"


def test_the_registry_refuses_an_incompatible_schema_once_a_level_is_set(kafka_stack: StackAddress) -> None:
    subject = f"test-{uuid.uuid4().hex}"
    with SchemaRegistryClient({"url": kafka_stack.schema_registry_url}) as registry:
        registry.set_compatibility(subject_name=subject, level="FULL_TRANSITIVE")
        first = registry.register_schema(subject, Schema(ORDER, "AVRO"))

        with pytest.raises(SchemaRegistryError) as raised:
            registry.register_schema(subject, Schema(ORDER_WITH_AMOUNT, "AVRO"))
        second = registry.register_schema(subject, Schema(ORDER_WITH_DEFAULT, "AVRO"))

    assert raised.value.http_status_code == 409
    assert second != first


def test_two_clusters_side_by_side_share_nothing(kafka_stack: StackAddress, own_kafka: LocalKafka) -> None:
    topic = new_topic(own_kafka.bootstrap_servers)

    assert topic in topics(own_kafka.bootstrap_servers)
    assert topic not in topics(kafka_stack.bootstrap_servers)


def test_records_and_address_outlive_a_stop(own_kafka: LocalKafka) -> None:
    address, cluster = own_kafka.bootstrap_servers, own_kafka.cluster_id
    topic = new_topic(address)
    produce(address, topic, b"kept")

    own_kafka.stop()
    with pytest.raises(KafkaException):
        topics(address, seconds=1)
    own_kafka.start(Deadline.after(START_SECONDS))

    assert (own_kafka.bootstrap_servers, own_kafka.cluster_id) == (address, cluster)
    assert consume(address, topic, 1) == [b"kept"]


def test_acknowledged_records_outlive_a_killed_broker(own_kafka: LocalKafka) -> None:
    topic = new_topic(own_kafka.bootstrap_servers)
    produce(own_kafka.bootstrap_servers, topic, b"kept")

    own_kafka.kill(1)
    with pytest.raises(UnavailableError, match="exit code 137"):
        own_kafka.pid(1)
    own_kafka.restart(1, Deadline.after(START_SECONDS))

    assert consume(own_kafka.bootstrap_servers, topic, 1) == [b"kept"]


def test_a_paused_broker_answers_nothing_until_it_is_resumed(own_kafka: LocalKafka) -> None:
    own_kafka.pause(1)
    try:
        with pytest.raises(KafkaException):
            topics(own_kafka.bootstrap_servers, seconds=1)
    finally:
        own_kafka.resume(1)

    assert topics(own_kafka.bootstrap_servers) is not None


def test_a_folder_in_use_is_refused(own_kafka: LocalKafka) -> None:
    with pytest.raises(UnavailableError, match=rf"in use by process {os.getpid()}"):
        LocalKafka(own_kafka.log(1).parents[1]).start(Deadline.after(START_SECONDS))

    assert topics(own_kafka.bootstrap_servers) is not None


def test_a_reset_forgets_everything_but_the_address(own_kafka: LocalKafka) -> None:
    address, cluster = own_kafka.bootstrap_servers, own_kafka.cluster_id
    topic = new_topic(address)

    own_kafka.reset()
    own_kafka.start(Deadline.after(START_SECONDS))

    assert own_kafka.bootstrap_servers == address
    assert own_kafka.cluster_id != cluster
    assert topic not in topics(address)


def test_a_node_that_dies_at_its_start_shows_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, properties={"authorizer.class.name": "no.such.Authorizer"}, short_lived=True)

    with pytest.raises(UnavailableError) as raised:
        kafka.start(Deadline.after(START_SECONDS))

    log = tmp_path / "node-1" / "kafka-1.log"
    assert str(raised.value) == (
        f"kafka-1 ended with exit code 1; the last error in its log {log}: "
        "java.lang.ClassNotFoundException: no.such.Authorizer"
    )
    with pytest.raises(UnavailableError, match="not running"):
        _ = kafka.bootstrap_servers


def test_a_start_ends_when_another_node_has_ended(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, 3, short_lived=True)
    kafka.launch(Deadline.after(START_SECONDS))
    kafka.kill(2)

    # The other two serve, and would wait for the third until the deadline.
    with pytest.raises(EndedError, match=r"kafka-2 ended with exit code 137 \(SIGKILL\)"):
        kafka.await_ready(Deadline.after(START_SECONDS))

    assert not running_in(tmp_path)


def test_a_stack_tells_which_of_its_servers_has_ended(tmp_path: Path) -> None:
    with LocalStack(tmp_path, short_lived=True) as stack:
        stack.require_running()

        assert stack.registry
        stack.registry.kill()

        with pytest.raises(EndedError, match=r"registry ended with exit code 137"):
            stack.require_running()


def test_a_deadline_that_is_too_short_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, short_lived=True)

    with pytest.raises(UnavailableError, match="deadline"):
        kafka.start(Deadline.after(0.1))

    assert not list(tmp_path.rglob("*.pid"))


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_an_interrupted_start_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    stack = LocalStack(tmp_path, registry=False, short_lived=True)

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(Interrupted):
            stack.start(Deadline.after(START_SECONDS))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert not list(tmp_path.rglob("*.pid"))
    with pytest.raises(UnavailableError, match="not running"):
        _ = stack.address
    assert not running_in(tmp_path)


def test_a_killed_parent_takes_its_broker_along(tmp_path: Path) -> None:
    parent = f"""
    import time
    from pathlib import Path
    from orchestrator.bus.deadline import Deadline
    from orchestrator.local import LocalKafka
    kafka = LocalKafka(Path({str(tmp_path)!r}), short_lived=True)
    kafka.start(Deadline.after({START_SECONDS}))
    print(kafka.pid(1), flush=True)
    time.sleep(600)
    """
    with running([sys.executable, "-c", dedent(parent)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        broker = int(process.stdout.readline())
        assert alive(broker)

        process.send_signal(signal.SIGKILL)

    assert eventually(lambda: not alive(broker))


def test_three_nodes_go_on_while_one_is_dead(tmp_path: Path) -> None:
    with LocalKafka(tmp_path, 3, properties=SHORT_SESSIONS, short_lived=True) as kafka:
        topic = new_topic(kafka.bootstrap_servers)
        produce(kafka.bootstrap_servers, topic, b"before")

        kafka.kill(1)
        produce(kafka.bootstrap_servers, topic, b"between")
        kafka.restart(1, Deadline.after(START_SECONDS))
        kafka.kill(2)
        produce(kafka.bootstrap_servers, topic, b"after")

        assert consume(kafka.bootstrap_servers, topic, 3) == [b"before", b"between", b"after"]


def test_a_folder_made_for_another_number_of_nodes_is_refused(own_kafka: LocalKafka) -> None:
    folder = own_kafka.log(1).parents[1]
    own_kafka.stop()
    try:
        with pytest.raises(ConfigurationError, match="holds a Kafka of 1 nodes, not 3"):
            LocalKafka(folder, 3).start(Deadline.after(START_SECONDS))
    finally:
        own_kafka.start(Deadline.after(START_SECONDS))


def test_schemas_and_address_outlive_a_killed_registry(tmp_path: Path) -> None:
    with LocalRegistry(tmp_path) as registry:
        url = registry.url
        with SchemaRegistryClient({"url": url}) as client:
            schema_id = client.register_schema("orders", Schema(ORDER, "AVRO"))

        registry.kill()
        registry.stop()
        registry.start(Deadline.after(START_SECONDS))

        assert registry.url == url
        with SchemaRegistryClient({"url": url}) as client:
            assert client.get_latest_version("orders").schema_id == schema_id


def test_servers_named_by_the_environment_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(stacks.BOOTSTRAP_SERVERS, "kafka:9092")
    monkeypatch.setenv(stacks.SCHEMA_REGISTRY_URL, "http://registry:8080")

    with stacks.provide_stack(tmp_path) as address:
        assert address == StackAddress("kafka:9092", "http://registry:8080")


def test_only_one_server_named_by_the_environment_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(stacks.BOOTSTRAP_SERVERS, "kafka:9092")
    monkeypatch.delenv(stacks.SCHEMA_REGISTRY_URL, raising=False)

    with pytest.raises(ConfigurationError, match="or neither"), stacks.provide_stack(tmp_path):
        pass

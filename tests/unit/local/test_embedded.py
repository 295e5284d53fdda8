"""The broker inside the client library: topics of our own sizes, and Kafka's protocol."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from orchestrator.errors import ConfigurationError, OrchestratorError
from orchestrator.local import EmbeddedCluster, embedded

SECONDS = 10


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"tasks": 6, "control": 1}) as running:
        yield running


def partitions(cluster: EmbeddedCluster) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=SECONDS).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def first_value(cluster: EmbeddedCluster, topic: str) -> bytes | str | None:
    settings = {
        "bootstrap.servers": cluster.bootstrap_servers,
        "group.id": "readers",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    with Consumer(settings) as consumer:
        consumer.subscribe([topic])
        message = consumer.poll(SECONDS)
    assert message is not None
    assert message.error() is None
    return message.value()


def test_topics_have_the_partitions_that_were_asked_for(cluster: EmbeddedCluster) -> None:
    assert partitions(cluster) == {"tasks": 6, "control": 1}


def test_a_record_that_is_produced_is_consumed(cluster: EmbeddedCluster) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce("control", b"pause")
    assert producer.flush(SECONDS) == 0

    assert first_value(cluster, "control") == b"pause"


def test_a_committed_transaction_is_visible(cluster: EmbeddedCluster) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": "writer"})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce("control", b"resume")
    producer.commit_transaction(SECONDS)

    assert first_value(cluster, "control") == b"resume"


def test_clusters_live_side_by_side(cluster: EmbeddedCluster) -> None:
    with EmbeddedCluster({"other": 2}) as other:
        assert other.bootstrap_servers != cluster.bootstrap_servers
        assert partitions(other) == {"other": 2}


def test_nothing_is_left_after_a_stop() -> None:
    cluster = EmbeddedCluster({"tasks": 2})
    cluster.start()
    cluster.start()
    cluster.stop()
    cluster.stop()
    with pytest.raises(OrchestratorError, match="not running"):
        _ = cluster.bootstrap_servers

    with cluster:
        assert partitions(cluster) == {"tasks": 2}


def test_all_impossible_topics_are_reported_together() -> None:
    with pytest.raises(ConfigurationError) as raised:
        EmbeddedCluster({"none": 0, "fine": 1, "fewer": -1})

    assert raised.value.problems == (
        "topic 'none' cannot have 0 partitions",
        "topic 'fewer' cannot have -1 partitions",
    )


def test_a_topic_that_the_broker_refuses_leaves_nothing_behind() -> None:
    # The same name for a library that ends its strings with a zero.
    cluster = EmbeddedCluster({"tasks": 1, "tasks\0": 1})

    with pytest.raises(OrchestratorError, match=r"refused topic 'tasks\\x00': .*exists"):
        cluster.start()

    with pytest.raises(OrchestratorError, match="not running"):
        _ = cluster.bootstrap_servers


def test_a_client_library_without_the_broker_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_SIGNATURES", {"rd_kafka_no_such_function": ([], None)})
    embedded._library.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"no embedded broker .* use a real Kafka"):
            EmbeddedCluster({"tasks": 1}).start()
    finally:
        embedded._library.cache_clear()

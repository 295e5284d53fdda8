"""(a) The baseline: plain confluent-kafka reads the recorded inputs and writes the recorded outputs, in transactions of
up to 500 inputs. No Python process that reads and writes these messages exactly once is faster."""

from typing import Any, Final

from confluent_kafka import Consumer, Message, Producer

from benchmarks.cluster import Cluster
from benchmarks.measurement import Measurement
from benchmarks.recording import CLIENT_RETRY_MS, Bulk, Recording, transactional
from orchestrator.bus.headers import ID
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages.catalogue import Topic

BATCH: Final = 500
_REQUEST_S: Final = 60.0


def relay(cluster: Cluster, recording: Recording, retry_ms: int = CLIENT_RETRY_MS) -> Measurement:
    """One pass over the recording, on new topics: tasks, then replies, as the loop's pass."""
    platform = cluster.installation()
    names = TopicNames(platform.prefix)
    outputs = {
        cause: [(names.full(one.topic), one.value, one.key, list(one.headers)) for one in written]
        for cause, written in recording.outputs.items()
    }
    producer = transactional(platform, "relay", retry_ms)
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.address.bootstrap_servers,
            "group.id": f"{platform.prefix}relay",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([names.full(Topic.TASKS), names.full(Topic.EVENTS)])
    while not consumer.assignment():
        consumer.poll(0.1)
    measurement = Measurement(cluster)
    for records in (recording.tasks, recording.replies):
        bulk = Bulk(platform, records)
        with measurement.section(len(records)):
            bulk.release()
            _pump(consumer, producer, outputs, len(records))
    consumer.close()
    return measurement


def _pump(
    consumer: Consumer, producer: Producer, outputs: dict[bytes, list[tuple[Any, ...]]], count: int
) -> None:
    while count > 0:
        first = consumer.poll(1.0)
        if first is None:
            continue
        batch: list[Message] = [first, *consumer.consume(BATCH - 1, 0)]
        metadata = consumer.consumer_group_metadata()
        producer.begin_transaction()
        for message in batch:
            headers: Any = message.headers()
            cause = next(value for name, value in headers if name == ID)
            for topic, value, key, headers in outputs.get(cause, ()):
                producer.produce(topic, value, key, headers=headers)
        offsets = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(offsets, metadata, _REQUEST_S)
        producer.commit_transaction(_REQUEST_S)
        count -= len(batch)

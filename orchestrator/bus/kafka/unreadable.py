"""Batches of records that the client cannot unpack: a few kilobytes may stand for gigabytes.

The client reports such a batch by its first offset and asks for it again, for ever. Where the next one begins is in
its header, which the client does not show, so it is found by asking for later offsets.
"""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import logging
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.errors import UnavailableError

logger: Final = logging.getLogger(__name__)

UNREADABLE: Final = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})
_POLL_S: Final = 0.1
_PROBE: Final[Mapping[str, Any]] = {
    "enable.partition.eof": True,
    "statistics.interval.ms": 0,
    # One answer of each kind is wanted, and at once.
    "fetch.error.backoff.ms": 0,
    "fetch.wait.max.ms": 10,
}
_NOT_PROBED: Final = frozenset({"group.instance.id", "stats_cb", "error_cb"})


class BatchEnds:
    """Finds where batches end, through one client of its own that is made when it is first needed."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config` is that of the consumer that reports the batches."""
        kept = {name: value for name, value in config.items() if name not in _NOT_PROBED}
        self._config = {**kept, **_PROBE}
        self._client: Consumer | None = None
        self._assigned: tuple[str, int] | None = None
        """Topic and partition that the client has, paused between two searches."""

    def end_of(self, topic: str, partition: int, first: int, deadline: Deadline) -> int:
        """The offset behind the batch that begins at offset `first`. Raises `UnavailableError` at the deadline."""
        if self._client is None:
            self._client = Consumer(self._config)
        client, place = self._client, TopicPartition(topic, partition, first)
        if self._assigned != (topic, partition):
            client.assign([place])
            self._assigned = topic, partition
        else:
            client.resume([place])
        try:
            return _Probe(client, self._config["bootstrap.servers"], place, deadline).search()
        finally:
            client.pause([place])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class _Probe:
    def __init__(self, client: Consumer, servers: str, first: TopicPartition, deadline: Deadline) -> None:
        self._client = client
        self._servers = servers
        self._place = first.topic, first.partition
        self._first = first.offset
        self._deadline = deadline

    def search(self) -> int:
        """Asks for later offsets, twice as far each time and then by halves, until the next batch is found."""
        inside, step, end = self._first, 1, self.end()
        while inside + step < end and self.is_inside(inside + step):
            inside, step = inside + step, step * 2
        outside = min(inside + step, end)
        while outside - inside > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if self.is_inside(middle) else (inside, middle)
        return outside

    def end(self) -> int:
        """The offset behind the last record that may be read."""
        topic, partition = self._place
        try:
            marks = self._client.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=self._deadline.remaining()
            )
        except KafkaException as error:
            raise translated(error_of(error), f"reading the end of {topic}", self._servers) from error
        if marks is None:
            raise UnavailableError(f"the end of {topic} [{partition}] could not be read in time")
        return max(self._first + 1, int(marks[1]))

    def is_inside(self, offset: int) -> bool:
        """Whether a read from this offset ends at the same batch."""
        topic, partition = self._place
        # What was fetched before a seek is dropped at once; an assignment would let it through.
        self._seek(TopicPartition(topic, partition, offset))
        while not self._deadline.passed:
            message = self._client.poll(_POLL_S)
            if message is None or (message.topic(), message.partition()) != self._place:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return False
            if error.code() in UNREADABLE:
                return bool(message.offset() == self._first)
            logger.debug("looking for the next batch of %s [%d]: %s", topic, partition, error.str())
        raise UnavailableError(
            f"the batch behind offset {self._first} of {topic} [{partition}] was not found in time"
        )

    def _seek(self, place: TopicPartition) -> None:
        """Seeks, once the client has taken up its assignment."""
        while True:
            try:
                self._client.seek(place)
            except KafkaException as error:
                if error_of(error).code() != KafkaError._STATE or self._deadline.passed:
                    raise translated(error_of(error), f"seeking in {place.topic}", self._servers) from error
                self._client.poll(_POLL_S)
            else:
                return

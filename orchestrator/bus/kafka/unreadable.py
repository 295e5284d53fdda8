"""Batches of records that the client cannot unpack: a few kilobytes may stand for gigabytes.

The client reports such a batch by its first offset and asks for it again, for ever. Where the next one begins is in
its header, which the client does not show, so it is found by asking for later offsets.
"""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.errors import UnavailableError

logger: Final = logging.getLogger(__name__)

UNREADABLE: Final = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})
_POLL_S: Final = 0.1
_PROBE: Final[Mapping[str, Any]] = {"enable.partition.eof": True, "statistics.interval.ms": 0}
_NOT_PROBED: Final = frozenset({"group.instance.id", "stats_cb", "error_cb"})


def end_of_batch(
    config: Mapping[str, Any], topic: str, partition: int, first: int, deadline: Deadline
) -> int:
    """The offset behind the batch that begins at offset `first`, for a consumer with this `config`.

    Raises `UnavailableError` at the deadline.
    """
    settings = {name: value for name, value in config.items() if name not in _NOT_PROBED}
    with closing(Consumer({**settings, **_PROBE})) as client:
        probe = _Probe(client, topic, partition, first, deadline)
        inside, step = first, 1
        end = probe.end()
        while inside + step < end and probe.is_inside(inside + step):
            inside, step = inside + step, step * 2
        outside = min(inside + step, end)
        while outside - inside > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if probe.is_inside(middle) else (inside, middle)
        return outside


class _Probe:
    def __init__(self, client: Consumer, topic: str, partition: int, first: int, deadline: Deadline) -> None:
        self._client = client
        self._place = topic, partition
        self._first = first
        self._deadline = deadline

    def end(self) -> int:
        """The offset behind the last record that may be read."""
        topic, partition = self._place
        try:
            marks = self._client.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=self._deadline.remaining()
            )
        except KafkaException as error:
            raise translated(error_of(error), f"reading the end of {topic}", "bootstrap_servers") from error
        if marks is None:
            raise UnavailableError(f"the end of {topic} [{partition}] could not be read in time")
        return max(self._first + 1, int(marks[1]))

    def is_inside(self, offset: int) -> bool:
        """Whether a read from this offset ends at the same batch."""
        topic, partition = self._place
        self._client.assign([TopicPartition(topic, partition, offset)])
        while not self._deadline.passed:
            message = self._client.poll(_POLL_S)
            if message is None:
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

"""librdkafka's settings of our clients: defaults that an installation may change, and what it may not."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.bus.partitioning import PARTITIONER
from orchestrator.bus.ports import Assignor, Reading, Start

_CONSUMER_DEFAULTS: Final[Mapping[str, Any]] = {
    # A killed process's partitions are reassigned after this time; the client's default is 45 s.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
}
# What a batch may be unpacked to, and how much is fetched at a time. By default a client unpacks batches of up to
# 100 MB, all those of a response at once: 60 records that are 2,500 bytes on disk took 4.7 GB. Of what is packed
# well, 350 bytes stand for 8 MB. A batch is fetched whole whatever its size, so full batches cost no more requests.
_UNPACKED: Final[Mapping[str, Any]] = {
    "receive.message.max.bytes": 8_000_000,
    # A batch that is not unpacked is skipped; the client would wait half a second for each.
    "fetch.error.backoff.ms": 20,
}
_PACKED: Final[Mapping[str, Any]] = {
    "message.max.bytes": 16_384,
    "fetch.max.bytes": 16_384,
    "fetch.message.max.bytes": 16_384,
}
_WHOLE: Final[Mapping[str, Any]] = {"fetch.max.bytes": 4_000_000}
_WORKER_DEFAULTS: Final[Mapping[str, Any]] = {
    # A client that was abandoned in a call that does not return keeps sending heartbeats, and keeps its
    # partitions for this long. Workers never wait for longer than 30 s; an orchestrator, which restores for
    # minutes, keeps the client's default.
    "max.poll.interval.ms": 120_000,
}
# A consumer that is left unpolled prefetches little; librdkafka's backoff after a full queue, 1 s by default, would
# then delay the next records.
_SMALL_QUEUE: Final[Mapping[str, Any]] = {
    "queued.min.messages": 500,
    "queued.max.messages.kbytes": 4096,
    "fetch.queue.backoff.ms": 20,
}
# The end of a partition is reported by the next fetch that finds nothing, which a broker holds back for 500 ms.
_TO_THE_END: Final[Mapping[str, Any]] = {"fetch.wait.max.ms": 10}

# `flush` and `commit` send at once, so lingering costs an idle loop nothing and gives a busy one big requests:
# 770 sessions a second instead of 480, and less than half the broker's CPU.
LINGER_MS: Final = 10
# Who sends us a record of a megabyte may have packed it into some hundred bytes, and it comes back in events and dead
# letters. Packed again they take some kilobytes; and it costs neither us nor the broker CPU time that can be measured.
COMPRESSION: Final = "lz4"
# A transaction that begins while the broker still writes the markers of the last one has to retry. That takes a
# few milliseconds; the client's default of 100 would delay a session that is alone, and a loop under load.
RETRY_MS: Final = 2
_LONGEST_RETRY_MS: Final = 200


def consumer_defaults(reading: Reading) -> dict[str, Any]:
    """Defaults of a consumer, which an installation may override."""
    is_worker = reading.assignor is Assignor.COOPERATIVE
    fetched = _WHOLE if reading.to_the_end else _PACKED
    return {**_CONSUMER_DEFAULTS, **_UNPACKED, **fetched, **(_WORKER_DEFAULTS if is_worker else {})}


def consumer_config(reading: Reading) -> dict[str, Any]:
    """Settings of a consumer that an installation cannot override."""
    return {
        "group.id": reading.group,
        "auto.offset.reset": reading.start.value,
        "partition.assignment.strategy": reading.assignor.value,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        **({"group.instance.id": reading.instance} if reading.instance else {}),
        **(_SMALL_QUEUE if reading.small_queue else {}),
        **(_TO_THE_END if reading.to_the_end else {}),
    }


def reports_lag(reading: Reading) -> bool:
    """Whether a consumer's statistics report its lag.

    One that starts at the beginning commits for itself and reports how far its commits are behind, or has no lag
    to report. One that reads to the end is not polled afterwards, and would keep its statistics forever.
    """
    return reading.start is Start.ERROR and not reading.to_the_end


def producer_defaults(transactional_id: str = "") -> dict[str, Any]:
    """Defaults of a producer, which an installation may override."""
    defaults: dict[str, Any] = {"linger.ms": LINGER_MS, "compression.type": COMPRESSION}
    if transactional_id:
        defaults |= {"retry.backoff.ms": RETRY_MS, "retry.backoff.max.ms": _LONGEST_RETRY_MS}
    return defaults


def producer_config(transactional_id: str = "") -> dict[str, Any]:
    """Settings of a producer that an installation cannot override."""
    fixed: dict[str, Any] = {"enable.idempotence": True, "partitioner": PARTITIONER}
    if transactional_id:
        # The commit confirms deliveries, so only failures need a callback: half the cost.
        fixed |= {"transactional.id": transactional_id, "delivery.report.only.error": True}
    return fixed

"""Reads a range of a partition, whatever its records are."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import OffsetLost
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Consumer, Position, Received
from orchestrator.engine.recovery.contained import contained
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import PartitionCheckpoint

logger: Final = logging.getLogger(__name__)

STALL_S: Final = 30.0
"""A restore without progress for this long is not slow: the broker does not respond."""
REPORT_S: Final = 5.0
"""How often progress is logged."""
_DRAIN: Final = 1_000
_POLL_S: Final = 0.1


def read(
    consumer: Consumer,
    codec: Codec,
    place: Position,
    offsets: tuple[int, int],
    handle: Callable[[Received], None],
    deadline: Deadline,
) -> None:
    """Reads a partition of a topic from the first of `offsets` up to the second. `consumer` is outside any group
    session."""
    start, end = offsets
    if start >= end:
        return
    topic, number = place
    consumer.assign({place: start})
    moved_at = time.monotonic()
    report_at = moved_at + REPORT_S
    at = start
    while at < end:
        if deadline.passed and time.monotonic() - moved_at >= STALL_S:
            raise UnavailableError(
                f"partition {number} could not be restored: no broker responds to reads of {topic}"
            )
        if deadline.passed:
            raise ConfigurationError(
                f"partition {number} could not be restored in time: {end - at} records of {topic} are left. "
                "Allow more time, or run more orchestrators so that each owns fewer partitions"
            )
        if time.monotonic() >= report_at:
            report_at += REPORT_S
            share = 100 * (at - start) // (end - start)
            logger.info("restoring partition %d: read %d %% of %s", number, share, topic)
        batch = _next(consumer, number)
        codec.ask(batch)
        for received in batch:
            if received.offset < end:
                contained(handle, received)
        before, at = at, consumer.position([place]).get(place, start)
        if at > before:
            moved_at = time.monotonic()


def _next(consumer: Consumer, number: int) -> Iterable[Received]:
    try:
        return poll_many(consumer, _DRAIN, _POLL_S)
    except OffsetLost as error:
        raise ConfigurationError(
            f"records were deleted while partition {number} was being restored: {error}"
        ) from error


def last_checkpoint(
    consumer: Consumer, codec: Codec, number: int, deadline: Deadline
) -> PartitionCheckpoint | None:
    """The checkpoint of a partition; None without one."""
    found: list[PartitionCheckpoint] = []

    def keep(received: Received) -> None:
        with suppress(ContractError):
            record = codec.decode(received) if received.value is not None else None
            if isinstance(record, PartitionCheckpoint) and record.partition == number:
                found[:] = [record]

    place = (Topic.SNAPSHOTS, number)
    offsets = consumer.watermarks([place], deadline, read_uncommitted=True)[place]
    read(consumer, codec, place, offsets, keep, deadline)
    return found[0] if found else None

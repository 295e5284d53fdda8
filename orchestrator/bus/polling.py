"""Polling a consumer for many records at once."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby

from orchestrator.bus.ports import Consumer, Received


def poll_many(consumer: Consumer, limit: int, timeout_s: float) -> list[Received]:
    """Waits up to `timeout_s` for one record, and adds those that are fetched already, `limit` in all."""
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.drain(limit - 1)]


def by_time(batch: Iterable[Received]) -> Iterator[Received]:
    """The records of several partitions by timestamp. Those of one partition keep their order: a writer may give its
    records any times."""

    def place(received: Received) -> tuple[str, int]:
        return received.topic, received.partition

    strands = [list(strand) for _, strand in groupby(sorted(batch, key=place), key=place)]
    return merge(*strands, key=lambda received: received.timestamp_ms)

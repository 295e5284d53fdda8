"""Polling a consumer for many records at once."""

from orchestrator.bus.ports import Consumer, Received


def poll_many(consumer: Consumer, limit: int, timeout_s: float) -> list[Received]:
    """Waits up to `timeout_s` for one record, and adds those that are fetched already, `limit` in all."""
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.drain(limit - 1)]

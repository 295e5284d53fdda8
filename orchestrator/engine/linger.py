"""Polling that lingers: records that no other process waits for may wait until more arrive."""

from collections.abc import Iterable
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.headers import TYPE
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Consumer, Received
from orchestrator.messages import events
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.saga.replies import REPLIES

LINGER_S: Final = 0.015
"""How long such records wait. A quick tool replies within 5 ms of its selection. Without lingering, its reply waits
for the transaction that records the selection, which takes 15 to 40 ms, because a broker accepts no new transaction
before it has written the markers of the last one."""

_AWAITED: Final = {avro_name(kind).encode() for kind in REPLIES if kind is not events.ToolSelected}


def poll_lingering(consumer: Consumer, limit: int, timeout_s: float) -> list[Received]:
    """As `poll_many`, and up to `LINGER_S` longer while all records may linger."""
    received = poll_many(consumer, limit, timeout_s)
    linger = Deadline.after(LINGER_S)
    while received and len(received) < limit and may_linger(received) and not linger.passed:
        received += poll_many(consumer, limit - len(received), linger.remaining())
    return received


def may_linger(records: Iterable[Received]) -> bool:
    """Whether all records only report progress: a selection, or a run in flight.

    A record without a type header does not linger.
    """
    return all(_reports_progress(record) for record in records)


def _reports_progress(record: Received) -> bool:
    kind = record.header(TYPE)
    return record.topic is Topic.EVENTS and kind is not None and kind not in _AWAITED

"""Which records may wait for company: those whose consequences nobody waits for."""

from collections.abc import Iterable
from typing import Final

from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Received
from orchestrator.messages import events
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.saga.replies import REPLIES

LINGER_S: Final = 0.015
"""How long such records wait. A quick tool answers within 5 ms of its selection, and its answer would otherwise
wait for the transaction that writes the selection down: 15 to 40 ms, because a broker takes no new transaction
before it has written the markers of the last one."""

_AWAITED: Final = {avro_name(kind).encode() for kind in REPLIES if kind is not events.ToolSelected}


def may_linger(records: Iterable[Received]) -> bool:
    """Whether nothing follows from these for anybody else: news of selections and of runs under way.

    What says nothing of its type is not waited with.
    """
    return all(_is_news(record) for record in records)


def _is_news(record: Received) -> bool:
    kind = record.header(TYPE)
    return record.topic is Topic.EVENTS and kind is not None and kind not in _AWAITED

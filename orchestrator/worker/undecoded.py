"""Turns records into work, as soon as they can be decoded: the registry may have to be asked for their schema first."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.bus.errors import SchemaPending
from orchestrator.bus.ports import Received
from orchestrator.worker.incoming import Incoming
from orchestrator.worker.partition import OwnedPartition
from orchestrator.worker.work import Work

MAX_UNDECODED: Final = 1_000
"""Records that wait at once; then nothing is read until some are decoded or set aside."""
_RETRY_S: Final = 0.05


class UndecodedRecords:
    """The records that wait. Their offsets are incomplete, so a restart reads them again. Everything else goes on, but
    in an ordered service what has the same key. Used by the consumer's thread."""

    def __init__(
        self, incoming: Incoming, ordered: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._incoming = incoming
        self._ordered = ordered
        self._clock = clock
        self._waiting: deque[tuple[OwnedPartition, Received]] = deque()
        self._next_at = 0.0

    @property
    def room(self) -> int:
        """How many more may wait."""
        return MAX_UNDECODED - len(self._waiting)

    def work_of(self, partition: OwnedPartition, received: Received) -> Work | None:
        """The work of a record that was taken in. None if it waits, and if another group takes it, which completes
        it."""
        if self._is_ahead_of(received):
            self._waiting.append((partition, received))
            return None
        try:
            work = self._incoming.to_work(partition, received)
        except SchemaPending:
            self._waiting.append((partition, received))
            return None
        if work is None:
            partition.tracker.complete(received.offset)
        return work

    def decoded(self) -> Iterator[Work]:
        """The work of records that have waited, in order; without those of partitions that were given up."""
        now = self._clock()
        if not self._waiting or now < self._next_at:
            return
        self._next_at = now + _RETRY_S
        waiting, self._waiting = self._waiting, deque()
        for partition, received in waiting:
            work = self.work_of(partition, received) if partition.may_start else None
            if work is not None:
                yield work

    def _is_ahead_of(self, received: Received) -> bool:
        """Whether a record of the same key waits, which has to be handled first."""
        return self._ordered and any(each.key == received.key for _, each in self._waiting)

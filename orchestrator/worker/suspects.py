"""Finds the record that a sink cannot store: what made a batch fail is looked for one record at a time."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from orchestrator.bus.ports import Position, Received
from orchestrator.messages.types import FailureKind
from orchestrator.sdk.failures import failure_of

MOST_ATTEMPTS: Final = 5
"""How often a record is tried alone before it is set aside: with the backoff, for some seconds."""


class Suspects:
    """Which records are written alone, and how often each has failed."""

    def __init__(self) -> None:
        self._until: dict[Position, int] = {}
        """Up to which offset the records of a partition are written alone."""
        self._failures: Counter[tuple[Position, int]] = Counter()

    def limit(self, batch: int) -> int:
        """How many records the next batch may have, out of `batch`."""
        return 1 if self._until else batch

    def failed(self, batch: Sequence[Received], error: BaseException) -> bool:
        """Notes that a batch was not stored. True if it is one record, which is to blame and has to be set aside.

        A store that is away, or full, says nothing about what it was given.
        """
        if isinstance(error, OSError | MemoryError) or failure_of(error, "").kind is FailureKind.TRANSIENT:
            return False
        for received in batch:
            place = (received.topic, received.partition)
            self._until[place] = max(self._until.get(place, 0), received.offset + 1)
        if len(batch) > 1:
            return False
        (one,) = batch
        key = ((one.topic, one.partition), one.offset)
        self._failures[key] += 1
        return self._failures[key] >= MOST_ATTEMPTS

    def stored(self, batch: Sequence[Received]) -> None:
        """Notes that a batch is stored, or set aside."""
        for received in batch if self._until else ():
            place = (received.topic, received.partition)
            if received.offset + 1 >= self._until.get(place, 0):
                self._until.pop(place, None)
            del self._failures[place, received.offset]

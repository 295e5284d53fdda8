"""Polling the consumer: records in batches, and none lost to an error in between."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.bus.ports import Consumer, Position, Received
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.worker.offsets import MAX_INTAKE_RECORDS
from orchestrator.worker.partition import OwnedPartition

logger: Final = logging.getLogger(__name__)

_RETRY_DELAY_S: Final = 0.5


class Poller:
    """Polls for one worker, on the consumer's thread. An unavailable broker is logged and polled again."""

    def __init__(self, service: str, consumer: Consumer, owned: Mapping[Position, OwnedPartition]) -> None:
        """`owned` is the assignment's, which rebalances inside a poll change."""
        self._service = service
        self._consumer = consumer
        self._owned = owned
        self._deferred: OrchestratorError | None = None
        """An error that came after records; the next poll raises it."""

    def poll(self, timeout_s: float) -> Received | None:
        deferred, self._deferred = self._deferred, None
        try:
            if deferred is not None:
                raise deferred
            return self._consumer.poll(timeout_s)
        except UnavailableError as error:
            logger.warning("%s cannot poll: %s", self._service, error)
            time.sleep(_RETRY_DELAY_S)
            return None

    def poll_batch(self, timeout_s: float, limit: int) -> Sequence[Received]:
        """Waits for one record, and adds those the client has prefetched: `limit` at most, and no more than a
        tracker may take in between two checks of `is_full`."""
        first = self.poll(timeout_s)
        if first is None:
            return ()
        position = first.topic, first.partition
        before = self._owned.get(position)
        try:
            rest = self._consumer.drain(min(limit, MAX_INTAKE_RECORDS) - 1)
        except OrchestratorError as error:
            # The first record is kept even if draining raises: the client would not return it again.
            self._deferred = error
            rest = []
        if self._owned.get(position) is not before:
            return rest  # the first record's partition was revoked meanwhile: its next owner reads it
        return (first, *rest)

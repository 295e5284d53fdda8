"""Committing offsets: the one place where a worker commits."""

import logging
from collections.abc import Iterable
from typing import Final

from orchestrator.bus.errors import OwnershipLost
from orchestrator.bus.ports import Commit, Consumer
from orchestrator.errors import UnavailableError
from orchestrator.worker.partition import OwnedPartition

logger: Final = logging.getLogger(__name__)


class OffsetCommitter:
    """Commits for one service, synchronously. Used by the consumer's thread only.

    The loop commits at intervals, before it starts at-most-once work, and when it stops; the assignment commits
    when partitions are revoked.
    """

    def __init__(self, service: str, consumer: Consumer) -> None:
        self._service = service
        self._consumer = consumer

    def commit(
        self,
        partitions: Iterable[OwnedPartition],
        as_completed: Iterable[tuple[OwnedPartition, int]] = (),
    ) -> bool:
        """Commits what was completed since the last commit, and the offsets in `as_completed` as if they were.

        Returns False if the group did not accept the commit; a later one may succeed.
        """
        extra: dict[OwnedPartition, set[int]] = {}
        for partition, offset in as_completed:
            extra.setdefault(partition, set()).add(offset)
        commits: dict[OwnedPartition, Commit] = {}
        for partition in partitions:
            if partition.is_held:
                continue
            commit = partition.tracker.commit(extra.get(partition, ()))
            if commit is not None and commit != partition.committed:
                commits[partition] = commit
        if not commits:
            return True
        try:
            self._consumer.commit({partition.position: commit for partition, commit in commits.items()})
        except (UnavailableError, OwnershipLost) as error:
            logger.warning("%s could not commit: %s", self._service, error)
            return False
        for partition, commit in commits.items():
            partition.committed = commit
        return True

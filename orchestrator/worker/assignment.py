"""The partitions that the group assigns to a worker: how they are assigned and revoked, and which are paused."""

import logging
import threading
import time
from collections.abc import Iterable
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Commit, Consumer, Position
from orchestrator.errors import UnavailableError
from orchestrator.worker.commits import OffsetCommitter
from orchestrator.worker.completions import CompletionQueue
from orchestrator.worker.dispatch import Dispatcher
from orchestrator.worker.offsets import DamagedSet, NewerSet
from orchestrator.worker.partition import OwnedPartition
from orchestrator.worker.share import Share

logger: Final = logging.getLogger(__name__)

_COMMITTED_TIMEOUT_S: Final = 30.0
_MAX_WAIT_S: Final = 0.1


class Assignment:
    """Used by the consumer's thread only, except `joined`."""

    def __init__(
        self,
        service: str,
        consumer: Consumer,
        dispatcher: Dispatcher,
        completions: CompletionQueue,
        revoke_timeout_s: float,
        share: Share,
    ) -> None:
        """`revoke_timeout_s` bounds a revocation; running handlers get half of it to finish."""
        self.owned: dict[Position, OwnedPartition] = {}
        self.committer = OffsetCommitter(service, consumer)
        self.all_paused = False
        """Whether all partitions are to be paused, even those with room."""
        self.joined = threading.Event()
        """Set by the first assignment, even an empty one: with more copies than partitions, some stand by."""
        self._service = service
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._completions = completions
        self._revoke_timeout_s = revoke_timeout_s
        self._share = share
        self._close_by: Deadline | None = None

    @property
    def in_flight(self) -> int:
        """Dispatched work of all owned partitions that is neither completed nor abandoned."""
        return sum(partition.in_flight for partition in self.owned.values())

    def on_assign(self, positions: tuple[Position, ...]) -> dict[Position, int]:
        """Starts each partition at the group's commit, and restores the completed offsets above it."""
        try:
            committed = self._consumer.committed(positions, Deadline.after(_COMMITTED_TIMEOUT_S))
        except UnavailableError as error:
            raise FatalError(f"{self._service} could not read its committed offsets: {error}") from error
        ends = self._ends([position for position, (_, metadata) in committed.items() if metadata])
        for position in positions:
            self.owned[position] = self._owned(position, committed.get(position), ends.get(position))
        self._share.owns(len(self.owned))
        self.joined.set()
        return {position: offset for position, (offset, _) in committed.items()}

    def _ends(self, positions: list[Position]) -> dict[Position, int]:
        """The ends of these logs."""
        if not positions:
            return {}
        deadline = Deadline.after(_COMMITTED_TIMEOUT_S)
        try:
            found = self._consumer.watermarks(positions, deadline, read_uncommitted=True)
        except UnavailableError as error:
            raise FatalError(f"{self._service} could not read the ends of its logs: {error}") from error
        return {position: end for position, (_, end) in found.items()}

    def _owned(self, position: Position, commit: Commit | None, end: int | None) -> OwnedPartition:
        """A partition that resumes at its commit. Whoever may commit for the group may write any metadata."""
        try:
            partition = OwnedPartition(position, commit)
        except NewerSet as error:
            logger.error("%s does not read %s: %s", self._service, _name(position), error)
            held = OwnedPartition(position, None)
            held.is_held, held.paused = True, False
            return held
        except DamagedSet as error:
            problem = str(error)
        else:
            if end is None or partition.tracker.restored_end <= end:
                return partition
            problem = (
                f"its commit names offsets up to {partition.tracker.restored_end}, and the log ends at {end}"
            )
        offset = commit[0] if commit else 0
        logger.error(
            "%s reads everything in %s again from offset %d on: %s",
            *(self._service, _name(position), offset, problem),
        )
        return OwnedPartition(position, (offset, ""))

    def on_revoke(self, positions: tuple[Position, ...]) -> None:
        """Gives partitions back to the group, within one deadline:

        1. Start none of their work any more.
        2. Let running handlers finish, for half of the time.
        3. Stop sending their outputs, and commit what is completed.
        4. Cancel what still runs.
        """
        deadline = self._close_by or Deadline.after(self._revoke_timeout_s)
        revoked = self._owned_of(positions)
        # 1. start nothing more
        for partition in revoked:
            partition.may_start = False
        self._dispatcher.abandon_ready()
        # 2. let running handlers finish
        self._await_completions(revoked, Deadline.after(deadline.remaining() / 2))
        # 3. stop sending, then commit
        for partition in revoked:
            partition.may_send = False
        self._completions.apply()
        self.committer.commit(revoked)
        # 4. cancel the rest
        self._disown(revoked)

    def on_lost(self, positions: tuple[Position, ...]) -> None:
        """Another member owns them already: cancels their work and commits nothing."""
        self._disown(self._owned_of(positions))

    def reset(self, partition: OwnedPartition) -> OwnedPartition:
        """Replaces a partition whose log was recreated or truncated: its offsets mean other records now."""
        logger.warning(
            "%s: offsets of %s start over, its topic was recreated or its log truncated",
            self._service,
            _name(partition.position),
        )
        self._cancel([partition])
        fresh = self.owned[partition.position] = OwnedPartition(partition.position, None)
        return fresh

    def close(self, deadline: Deadline | None) -> None:
        """Cancels all work. `deadline` bounds the revocation that closing the consumer brings."""
        self._cancel(self.owned.values())
        self._close_by = deadline

    def skip_transaction_markers(self) -> None:
        """Moves past markers and other offsets without a record. Call it only when every record that was polled
        has been taken in."""
        for position, offset in self._consumer.position(self.owned).items():
            if not self.owned[position].is_held:
                self.owned[position].tracker.skip_to(offset)

    def apply_backpressure(self) -> None:
        """Pauses full partitions and resumes those with room. A pause drops the client's prefetched records."""
        for partition in self.owned.values():
            pause = self._should_pause(partition)
            if pause != partition.paused:
                partition.paused = pause
                change = self._consumer.pause if pause else self._consumer.resume
                change([partition.position])

    def _should_pause(self, partition: OwnedPartition) -> bool:
        if self.all_paused or partition.is_held or time.monotonic() < partition.slowed_until:
            return True
        return not partition.tracker.may_resume if partition.paused else partition.tracker.is_full

    def _owned_of(self, positions: Iterable[Position]) -> list[OwnedPartition]:
        return [self.owned[position] for position in positions if position in self.owned]

    def _disown(self, partitions: list[OwnedPartition]) -> None:
        self._cancel(partitions)
        for partition in partitions:
            del self.owned[partition.position]
        self._share.owns(len(self.owned))

    def _cancel(self, partitions: Iterable[OwnedPartition]) -> None:
        """From here on nothing of these partitions is started or sent."""
        cancelled = frozenset(partitions)
        for partition in cancelled:
            partition.may_start = False
            partition.may_send = False
        self._dispatcher.cancel(cancelled)

    def _await_completions(self, partitions: list[OwnedPartition], deadline: Deadline) -> None:
        while not deadline.passed:
            self._completions.arm()
            self._completions.apply()
            if not any(partition.in_flight for partition in partitions):
                return
            self._completions.wait(min(deadline.remaining(), _MAX_WAIT_S))


def _name(position: Position) -> str:
    return f"{position[0]}/{position[1]}"

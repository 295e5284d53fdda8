"""The partitions that a worker owns: how they come and go, what is committed for them, which are paused."""

import logging
import threading
from collections.abc import Iterable
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError, OwnershipLost
from orchestrator.bus.ports import Commit, Consumer, Position
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.worker.dispatch import Dispatcher
from orchestrator.worker.work import OwnedPartition, Reports

logger: Final = logging.getLogger(__name__)

_ASK_S: Final = 30.0
_LOOK_S: Final = 0.1


class Assignment:
    """The owner thread's alone, but for `joined`.

    `give_up_s` is the deadline for giving partitions up; half of it is for letting short handlers end.
    """

    def __init__(
        self, group: str, consumer: Consumer, dispatcher: Dispatcher, reports: Reports, give_up_s: float
    ) -> None:
        self._group = group
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._reports = reports
        self._give_up_s = give_up_s
        self._last_by: Deadline | None = None
        self.owned: dict[Position, OwnedPartition] = {}
        self.holds_back = False
        """Whether everything is to be paused."""
        self.joined = threading.Event()
        """Set when the group has given us partitions."""

    @property
    def open(self) -> int:
        """Work of all partitions of which nothing was heard yet."""
        return sum(ownership.open for ownership in self.owned.values())

    def on_assign(self, positions: tuple[Position, ...]) -> dict[Position, int]:
        """Starts where the group's commit says, and with what it says above that."""
        try:
            committed = self._consumer.committed(positions, Deadline.after(_ASK_S))
        except UnavailableError as error:
            raise FatalError(f"{self._group} could not read what it had committed: {error}") from error
        for position in positions:
            try:
                self.owned[position] = OwnedPartition(position, committed.get(position))
            except ContractError as error:
                raise ContractError(f"{self._group} cannot go on with {_name(position)}: {error}") from error
        self.joined.set()
        return {position: offset for position, (offset, _) in committed.items()}

    def on_revoke(self, positions: tuple[Position, ...]) -> None:
        """Gives partitions up, in this order and within one deadline."""
        deadline = self._last_by or Deadline.after(self._give_up_s)
        leaving = [self.owned[position] for position in positions if position in self.owned]
        # 1. stop starting
        for ownership in leaving:
            ownership.starts = False
        self._dispatcher.give_up(())
        # 2. let short work end
        self._await_reports(leaving, Deadline.after(deadline.remaining() / 2))
        # 3. commit what is done; from here on nothing more is sent
        for ownership in leaving:
            ownership.is_over = True
        self._reports.take_in()
        self.commit(leaving)
        # 4. cancel the rest
        self._forget(leaving)

    def on_lost(self, positions: tuple[Position, ...]) -> None:
        """They are another's already: nothing is committed."""
        self._forget([self.owned[position] for position in positions if position in self.owned])

    def begin_anew(self, ownership: OwnedPartition) -> OwnedPartition:
        """Another ownership of the same partition: its log was made again or lost its end, and nothing that
        is known of its offsets holds."""
        logger.warning("%s: the log of %s begins anew", self._group, _name(ownership.position))
        self.end([ownership])
        anew = self.owned[ownership.position] = OwnedPartition(ownership.position, None)
        return anew

    def end(self, ownerships: Iterable[OwnedPartition], last_by: Deadline | None = None) -> None:
        """Nothing of these is started or sent any more. `last_by` bounds what closing the consumer may take."""
        ended = frozenset(ownerships)
        for ownership in ended:
            ownership.starts = False
            ownership.is_over = True
        self._dispatcher.give_up(ended)
        self._last_by = last_by or self._last_by

    def skip_to_position(self) -> None:
        """Leaves markers of transactions behind. Only when all that was read was taken in."""
        for position, reached in self._consumer.position(self.owned).items():
            self.owned[position].tracker.skip_to(reached)

    def commit(
        self, ownerships: Iterable[OwnedPartition], held: Iterable[tuple[OwnedPartition, int]] = ()
    ) -> bool:
        """Commits what is done and not committed yet, `held` offsets as if they were done. False if the
        group did not take it; it may be tried again."""
        as_done: dict[OwnedPartition, set[int]] = {}
        for ownership, offset in held:
            as_done.setdefault(ownership, set()).add(offset)
        commits: dict[Position, Commit] = {}
        for ownership in ownerships:
            commit = ownership.tracker.commit(as_done.get(ownership, ()))
            if commit is not None and commit != ownership.committed:
                commits[ownership.position] = commit
        if not commits:
            return True
        try:
            self._consumer.commit(commits)
        except (UnavailableError, OwnershipLost) as error:
            logger.warning("%s could not commit: %s", self._group, error)
            return False
        for position, commit in commits.items():
            self.owned[position].committed = commit
        return True

    def pause_as_needed(self) -> None:
        """Pauses what has no room, resumes what has room again. Pausing drops what was prefetched."""
        for ownership in self.owned.values():
            if not self._is_settled(ownership):
                ownership.paused = not ownership.paused
                change = self._consumer.pause if ownership.paused else self._consumer.resume
                change([ownership.position])

    def _is_settled(self, ownership: OwnedPartition) -> bool:
        if ownership.paused:
            return self.holds_back or not ownership.tracker.has_room_again
        return not self.holds_back and not ownership.tracker.is_full

    def _forget(self, leaving: list[OwnedPartition]) -> None:
        self.end(leaving)
        for ownership in leaving:
            del self.owned[ownership.position]

    def _await_reports(self, ownerships: list[OwnedPartition], deadline: Deadline) -> None:
        while not deadline.passed:
            self._reports.expect()
            self._reports.take_in()
            if not any(ownership.open for ownership in ownerships):
                return
            self._reports.wait(min(deadline.remaining(), _LOOK_S))


def _name(position: Position) -> str:
    return f"{position[0]}/{position[1]}"

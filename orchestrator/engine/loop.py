"""The orchestrator's loop: one thread owns the consumers and the transactional producer.

1. Wait for one record, drain more up to a count, capture the group metadata; add what is due.
2. Decide and evolve into a batch.
3. Begin; send; send the offsets with the captured metadata; commit.
4. Only then promote the batch. An abort drops it and rewinds to the committed positions.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, AmbiguousCommit, FatalError, FencedError, OwnershipLost
from orchestrator.bus.ports import Bus, GroupMetadata, Received
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.delivery.dead_letters import DeadLetterCap
from orchestrator.engine.assignment import GROUP, NotRestored, SlotAssignment
from orchestrator.engine.batch import Agents, BatchDecider
from orchestrator.engine.observer import ABORTED, RESTORED, LoopObserver, Transaction
from orchestrator.engine.recovery.restore import Progress, metadata_of
from orchestrator.engine.staged_batch import StagedBatch
from orchestrator.engine.state.encoding import RECORD_BYTES, Encoder
from orchestrator.engine.state.partition import Partition
from orchestrator.engine.transactions import OnStep, Transactions
from orchestrator.errors import ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

_SHORTEST_WAIT_S: Final = 0.001
_FENCE_WINDOW_S: Final = 10.0
"""Longer than a rival takes to hear that it was fenced and to fence us, and no longer than a session may be
silent: an outage of the coordinator takes that long to end a membership."""
_MOST_FENCES: Final = 2
"""A restore during an outage may be fenced once more."""


@dataclass(frozen=True)
class LoopSettings:
    slot: int = 0
    """Number of this copy: fences a predecessor of the same number, and keeps its partitions over restarts."""
    batch: int = 500
    """How many inputs go into one transaction at most."""
    active_sessions: int = 1_000
    """How many sessions a partition has under way before its tasks wait."""
    idle_wait_s: float = 0.01
    """How long to wait for an event before looking for tasks."""
    transaction_s: float = 30.0
    """Time limit of one transaction's work."""
    restore_s: float = 240.0
    """Time limit of restoring all partitions of one assignment: below the 300 s after which a member that does
    not poll loses its partitions."""
    unavailable_wait_s: float = 1.0
    """How long to wait for a registry or broker before asking again."""
    aborts_before_halving: int = 3
    """Aborts at the same offsets after which the batch is halved."""
    record_bytes: int = RECORD_BYTES
    """Largest record that the brokers take."""


class SagaLoop:
    """One slot of the orchestrator. `run` returns after `stop`, or raises what cannot be mended here."""

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        values: MessageValues,
        agents: Agents,
        clock: Callable[[], int],
        settings: LoopSettings,
        observer: LoopObserver | None = None,
        on_step: OnStep = lambda _step: None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._observer = observer or LoopObserver()
        self._on_step = on_step
        self._stopping = threading.Event()
        self._encoder = Encoder(codec, values, f"/{GROUP}/{settings.slot}", settings.record_bytes)
        limits = (settings.transaction_s, settings.restore_s)
        self._owned = SlotAssignment(bus, self.name, self._encoder, limits)
        self._transactions = Transactions(bus, self.name, on_step)
        self._owned.before_restore = self._transactions.prepare
        self._decider = BatchDecider(self._owned, codec, self._encoder, agents, clock)
        self._aborts = 0
        self._begun = 0.0
        self._reported_epoch = 0
        self._limit = settings.batch
        self._dead_letters, self._task_dead_letters = DeadLetterCap(), DeadLetterCap()
        """What strangers write, tasks and control, holds up tasks alone: sessions that are under way go on."""
        self._fences = 0
        """Times it was fenced, and could not work in peace since."""

    @property
    def name(self) -> str:
        return f"{GROUP}-{self.settings.slot}"

    @property
    def ready(self) -> threading.Event:
        """Set while partitions are owned and restored."""
        return self._owned.ready

    @property
    def restoring(self) -> bool:
        """Whether it has partitions and reads their history."""
        return self._owned.restoring

    @property
    def partitions(self) -> Mapping[int, Partition]:
        """What it owns, as last committed. Belongs to the loop's thread."""
        return self._owned.partitions

    @property
    def restored(self) -> Sequence[Progress]:
        """How each restore went."""
        return self._owned.restored

    def stop(self) -> None:
        """Asks the loop to end after the batch in hand. Any thread may call."""
        self._stopping.set()

    def run(self) -> None:
        try:
            self._encoder.prepare()
            self._owned.join()
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._transactions.close()
            self._owned.leave()

    def _turn(self) -> None:
        try:
            self._cycle()
        except (FatalError, NotRestored, UnavailableError) as error:
            self._join_anew(error)

    def _join_anew(self, error: OrchestratorError) -> None:
        """Whatever state clients are in, new ones find out what was committed.

        That goes for a membership that was taken over, too: a static member whose coordinator was away is told
        so after its own rejoin. Who is told so at once again and again has a rival, and ends: two on one slot
        would fence each other for ever. The one that began to is told first.
        """
        if isinstance(error, FatalError):
            if self._owned.has_worked_for(_FENCE_WINDOW_S):
                self._fences = 0
            self._fences += 1
            if self._fences > _MOST_FENCES:
                raise error
        logger.warning("%s joins its group anew: %s", self.name, error.__cause__ or error)
        self._transactions.give_up()
        self._owned.rejoin()
        self._stopping.wait(self.settings.unavailable_wait_s)

    def _cycle(self) -> None:
        try:
            received = self._taken()
            self._look_around(received)
            now = self._clock()
            checkpoints = [
                number for number, found in self._owned.partitions.items() if found.wants_checkpoint(now)
            ]
            if not received and not checkpoints and not self._is_due(now):
                return
            metadata = self._owned.metadata()
            self._on_step("decide")
            batch = self._decider.staged(received, now, checkpoints, self._limit)
        except OwnershipLost as error:
            logger.info("a batch is read again: %s", error)
            self._owned.rewind()
            return
        except UnavailableError as error:
            logger.warning("inputs wait, because something they need does not answer: %s", error)
            self._stopping.wait(self.settings.unavailable_wait_s)
            self._owned.rewind()
            return
        if batch.is_empty:
            batch.skip(self._owned.timers)
            self._observer.dropped(batch.dropped)
        else:
            self._commit(batch, metadata)

    # -- 1. what there is to do

    def _taken(self) -> list[Received]:
        """What there is: one record at a time, slowly, while dead letters come of them too fast."""
        most, tasks = self._dead_letters.most(self._limit), self._task_dead_letters.most(self._limit)
        if most < 1:
            self._stopping.wait(self._dead_letters.spacing)
        return self._owned.take(max(1, most), self.settings.active_sessions, self._wait_s(), tasks)

    def _look_around(self, received: Sequence[Received]) -> None:
        if received:
            self._observer.received(received)
        if self._reported_epoch != self._owned.epoch:
            self._report_active()

    def _report_active(self) -> None:
        self._reported_epoch = self._owned.epoch
        self._observer.owns({number: found.active for number, found in self._owned.partitions.items()})

    def _wait_s(self) -> float:
        """Seconds to wait for an event: until something is due, and no longer than a task may wait. What is due
        already waits for events to be read up to their end."""
        due = self._owned.timers.next_at()
        idle = self.settings.idle_wait_s
        until = idle if due is None else (due - self._clock()) / 1e6
        return idle if until <= 0 else min(idle, max(_SHORTEST_WAIT_S, until))

    def _is_due(self, now: int) -> bool:
        due = self._owned.timers.next_at()
        return due is not None and due <= now

    # -- 3. write

    def _commit(self, batch: StagedBatch, metadata: GroupMetadata) -> None:
        offsets = batch.offsets(metadata_of(batch.number, self._owned.partition_count))
        epoch = self._owned.epoch
        self._begun = time.perf_counter()
        try:
            self._transactions.run(batch.outgoing, offsets, metadata, self._deadline())
        except AmbiguousCommit as error:
            logger.warning("transaction %d: %s", batch.number, error)
            self._resolve(batch, epoch)
        except FatalError as error:
            self._mend(batch, epoch, error)
        except (AbortableError, UnavailableError, OwnershipLost, ContractError) as error:
            self._take_back(batch, epoch, error)
        else:
            self._on_step("promote")
            self._promote(batch)

    # -- 4. promote, or take back

    def _promote(self, batch: StagedBatch) -> None:
        self._aborts = 0
        self._limit = self.settings.batch
        self._decider.clear(batch.inputs)
        self._owned.last_batch = batch.number
        batch.promote(self._owned.timers)
        seconds = time.perf_counter() - self._begun
        for topic, count in batch.dead_letters.items():
            (self._dead_letters if topic is Topic.EVENTS else self._task_dead_letters).spend(count)
        self._observer.dropped(batch.dropped)
        self._observer.committed(Transaction(batch.messages, batch.outgoing, len(batch.inputs), seconds))
        self._report_active()

    def _take_back(self, batch: StagedBatch, epoch: int, error: OrchestratorError) -> None:
        """Aborts and rewinds. The same offsets aborted again and again: smaller batches find the culprit."""
        logger.warning("transaction %d is taken back: %s", batch.number, error)
        if not self._narrow(batch, error) and self._aborts > 1:
            self._stopping.wait(self.settings.unavailable_wait_s)
        try:
            self._transactions.abort(self._deadline())
        except FatalError as failed:
            self._mend(batch, epoch, failed)
        except (UnavailableError, AbortableError) as failed:
            logger.warning("transaction %d could not be aborted: %s", batch.number, failed)
            self._resolve(batch, epoch)
        else:
            self._observer.failed(ABORTED)
            self._owned.rewind()

    def _narrow(self, batch: StagedBatch, error: OrchestratorError) -> bool:
        """Only a record that the broker refuses for itself condemns an input, an outage never does. Gives
        whether it was refused."""
        self._aborts += 1
        refused = isinstance(error, ContractError) or (isinstance(error, AbortableError) and error.refused)
        if refused and len(batch.inputs) == 1:
            self._decider.poison(batch.inputs[0], str(error))
        if refused or self._aborts % self.settings.aborts_before_halving == 0:
            self._limit = max(1, min(self._limit, len(batch.inputs)) // 2)
        return refused

    def _mend(self, batch: StagedBatch, epoch: int, error: FatalError) -> None:
        """The producer is of no use any more. Whoever was fenced goes on only while the slot is its own.
        Raises `FencedError` otherwise."""
        logger.warning("transaction %d: %s", batch.number, error)
        if isinstance(error, FencedError):
            self._prove_membership()
        self._resolve(batch, epoch)

    def _prove_membership(self) -> None:
        deadline = self._deadline()
        while not self._stopping.is_set():
            try:
                self._owned.prove_membership()
            except OwnershipLost:
                self._owned.serve(self.settings.unavailable_wait_s)
            except UnavailableError as error:
                if deadline.passed:
                    raise
                logger.warning("waiting for the group: %s", error)
                self._stopping.wait(self.settings.unavailable_wait_s)
            else:
                return

    def _resolve(self, batch: StagedBatch, epoch: int) -> None:
        """Nobody knows whether the transaction was committed: the numbers in the committed offsets tell.
        Raises `UnavailableError` if they are not answered in time."""
        self._transactions.give_up()
        self._transactions.prepare(self._deadline())
        if epoch != self._owned.epoch:
            # Restored since: what is live is what was committed.
            self._observer.failed(RESTORED)
            self._owned.rewind()
            return
        numbers = self._owned.committed_batches(batch.touched())
        before = {number: self._owned.partitions[number].batch for number in numbers}
        if all(found == batch.number for found in numbers.values()):
            logger.info("transaction %d was committed", batch.number)
            self._promote(batch)
            self._owned.rewind()
        elif numbers == before:
            logger.info("transaction %d was not committed: its inputs are read again", batch.number)
            self._observer.failed(ABORTED)
            self._owned.rewind()
        else:
            self._observer.failed(RESTORED)
            self._owned.restore_all()

    def _deadline(self) -> Deadline:
        return Deadline.after(self.settings.transaction_s)


__all__ = ["GROUP", "Agents", "LoopSettings", "SagaLoop"]

"""The orchestrator's loop: one thread owns the consumers and the transactional producer.

1. Poll: wait for one record, drain more up to a limit, and capture the group metadata.
2. Decide the records and the timers that are due into a staged batch.
3. Commit: begin, send, send the offsets with the captured metadata, commit.
4. Only then promote the batch. An abort drops it and rewinds to the live positions.
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
from orchestrator.delivery.caps import DeadLetterCaps
from orchestrator.delivery.sizes import RECORD_BYTES
from orchestrator.engine.assignment import GROUP, SlotAssignment
from orchestrator.engine.decider import Agents, BatchDecider
from orchestrator.engine.fencing import RestoreError
from orchestrator.engine.observer import ABORTED, RESTORED, LoopObserver, Transaction
from orchestrator.engine.recovery.progress import Progress
from orchestrator.engine.staged_batch import StagedBatch
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import Partition
from orchestrator.engine.transactions import OnStep, Transactions
from orchestrator.errors import ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

_MIN_WAIT_S: Final = 0.001
_FENCE_WINDOW_S: Final = 10.0
"""How long a rival may take to show itself: longer than it takes to notice that it was fenced and to fence us back,
and no longer than the session timeout, after which an outage of the coordinator ends a membership."""
_MAX_FENCES: Final = 2
"""A restore during an outage may be fenced a second time."""


@dataclass(frozen=True)
class LoopSettings:
    slot: int = 0
    """Number of this copy: fences a predecessor of the same number, and keeps its partitions over restarts."""
    batch: int = 500
    """How many inputs one transaction handles at most."""
    active_sessions: int = 1_000
    """How many active sessions a partition may have before its tasks wait."""
    idle_wait_s: float = 0.01
    """How long to wait for an event before polling for tasks."""
    transaction_s: float = 30.0
    """Time limit of one transaction."""
    restore_s: float = 240.0
    """Time limit of restoring all partitions of one assignment: below the 300 s after which a member that does
    not poll loses its partitions."""
    unavailable_wait_s: float = 1.0
    """How long to wait before trying again when a registry or broker does not respond."""
    aborts_before_halving: int = 3
    """Aborts at the same offsets after which the batch is halved."""
    record_bytes: int = RECORD_BYTES
    """Bytes of the largest record that the brokers accept."""


class SagaLoop:
    """One slot of the orchestrator. `run` returns after `stop`, or raises an error that it cannot recover from."""

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
        call_ids: CallIds = UNKEYED,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._observer = observer or LoopObserver()
        self._on_step = on_step
        self._stopping = threading.Event()
        self._encoder = Encoder(codec, values, f"/{GROUP}/{settings.slot}", settings.record_bytes)
        timeouts = (settings.transaction_s, settings.restore_s)
        self._assignment = SlotAssignment(bus, self.name, self._encoder, timeouts)
        self._transactions = Transactions(bus, self.name, on_step)
        self._assignment.before_restore = self._transactions.prepare
        self._decider = BatchDecider(self._assignment, codec, self._encoder, agents, clock, call_ids)
        self._aborts = 0
        """Consecutive aborts."""
        self._begun_at = 0.0
        self._reported_epoch = 0
        self._limit = settings.batch
        self._caps = DeadLetterCaps()
        self._fences = 0
        """How often it was fenced without a fence window of undisturbed work in between."""

    @property
    def name(self) -> str:
        return f"{GROUP}-{self.settings.slot}"

    @property
    def ready(self) -> threading.Event:
        """Set while partitions are assigned and restored."""
        return self._assignment.ready

    @property
    def restoring(self) -> bool:
        """Whether a restore is running."""
        return self._assignment.restoring

    @property
    def partitions(self) -> Mapping[int, Partition]:
        """The owned partitions, as last committed. For the loop's thread only, until it has ended."""
        return self._assignment.partitions

    @property
    def restored(self) -> Sequence[Progress]:
        """One entry for each restore of a partition."""
        return self._assignment.restored

    @property
    def problem(self) -> str | None:
        """What waits for the value store, and why; None if nothing does. Any thread may read it."""
        return self._decider.problem

    def stop(self) -> None:
        """Asks the loop to end after the current batch. Any thread may call."""
        self._stopping.set()

    def run(self) -> None:
        failed: BaseException | None = None
        try:
            self._encoder.prepare()
            self._assignment.join()
            while not self._stopping.is_set():
                self._run_cycle()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed = error
        # Errors are acted upon after they are handled, here and below: when a call of the client fails meanwhile, the
        # client never gives up the error that is being handled (confluent-kafka 2.16), nor the clients it refers to.
        try:
            self._transactions.close()
        finally:
            self._assignment.leave()
            if failed is not None:
                raise failed

    def _run_cycle(self) -> None:
        failed: OrchestratorError | None = None
        try:
            self._cycle()
        except (FatalError, RestoreError, UnavailableError) as error:
            failed = error
        if failed is not None:
            self._rejoin(failed)

    def _rejoin(self, error: OrchestratorError) -> None:
        """Replaces all clients and restores what was committed, regardless of the state of the old clients.

        This also recovers from being fenced: a static member whose coordinator was unavailable is reported as fenced
        after its own rejoin. A process that is fenced more than `_MAX_FENCES` times without a fence window of work
        has a rival on its slot, and ends: otherwise the two would fence each other forever. The older process is
        fenced first, so it is the one that ends.
        """
        if isinstance(error, FatalError):
            if self._assignment.has_worked_for(_FENCE_WINDOW_S):
                self._fences = 0
            self._fences += 1
            if self._fences > _MAX_FENCES:
                raise error
        logger.warning("%s rejoins its group with new clients: %s", self.name, error.__cause__ or error)
        self._transactions.discard()
        self._assignment.rejoin()
        self._stopping.wait(self.settings.unavailable_wait_s)

    def _cycle(self) -> None:
        try:
            received = self._poll()
            self._report(received)
            now = self._clock()
            checkpoints = [
                number
                for number, partition in self._assignment.partitions.items()
                if partition.is_checkpoint_due(now)
            ]
            if not received and not checkpoints and not self._is_timer_due(now):
                return
            metadata = self._assignment.metadata()
            self._on_step("decide")
            batch = self._decider.decide(received, now, checkpoints, self._limit)
        except OwnershipLost as error:
            logger.info("the group rebalances; the batch will be read again: %s", error)
            self._assignment.rewind()
            return
        except UnavailableError as error:
            logger.warning("inputs wait for an unavailable dependency; they will be read again: %s", error)
            self._stopping.wait(self.settings.unavailable_wait_s)
            self._assignment.rewind()
            return
        if batch.is_empty:
            batch.advance(self._assignment.timers)
            self._observer.dropped(batch.dropped)
        else:
            self._commit(batch, metadata)
        self._hold(batch)

    # -- 1. poll

    def _poll(self) -> list[Received]:
        """The next records, without those of positions that are held."""
        return self._assignment.poll(self._limit, self.settings.active_sessions, self._wait_s())

    def _hold(self, batch: StagedBatch) -> None:
        """Does not read on behind records that cannot be handled yet, while other positions go on."""
        for position, seconds in batch.held.items():
            self._assignment.hold(position, seconds, reread=True)

    def _report(self, received: Sequence[Received]) -> None:
        if received:
            self._observer.received(received)
        if self._reported_epoch != self._assignment.epoch:
            self._report_active()

    def _report_active(self) -> None:
        self._reported_epoch = self._assignment.epoch
        self._observer.owns(
            {number: partition.active for number, partition in self._assignment.partitions.items()}
        )

    def _wait_s(self) -> float:
        """Seconds to wait for a record: until the next timer is due, and at most as long as a task may wait. A timer
        that is due already waits until the events before it have been read, so it does not shorten the wait."""
        due = self._assignment.timers.next_at()
        idle = self.settings.idle_wait_s
        until = idle if due is None else (due - self._clock()) / 1e6
        return idle if until <= 0 else min(idle, max(_MIN_WAIT_S, until))

    def _is_timer_due(self, now: int) -> bool:
        due = self._assignment.timers.next_at()
        return due is not None and due <= now

    # -- 3. commit

    def _commit(self, batch: StagedBatch, metadata: GroupMetadata) -> None:
        offsets = batch.offsets(self._assignment.partition_count)
        epoch = self._assignment.epoch
        self._begun_at = time.perf_counter()
        failed: OrchestratorError | None = None
        try:
            self._transactions.commit(batch.output.records, offsets, metadata, self._deadline())
        except (
            AmbiguousCommit,
            FatalError,
            AbortableError,
            UnavailableError,
            OwnershipLost,
            ContractError,
        ) as error:
            failed = error
        match failed:
            case None:
                self._on_step("promote")
                self._promote(batch)
            case AmbiguousCommit():
                logger.warning(
                    "the outcome of transaction %d is unknown; checking the committed offsets: %s",
                    batch.number,
                    failed,
                )
                self._resolve_outcome(batch, epoch)
            case FatalError():
                self._recover(batch, epoch, failed)
            case _:
                self._abort(batch, epoch, failed)

    # -- 4. promote, or abort

    def _promote(self, batch: StagedBatch) -> None:
        self._aborts = 0
        self._limit = self.settings.batch
        self._decider.clear(batch.inputs)
        self._assignment.last_batch = batch.number
        batch.promote(self._assignment.timers)
        seconds = time.perf_counter() - self._begun_at
        self._slow_down(batch)
        self._observer.dropped(batch.dropped)
        self._observer.committed(
            Transaction(batch.output.messages, batch.output.records, len(batch.inputs), seconds)
        )
        self._report_active()

    def _slow_down(self, batch: StagedBatch) -> None:
        """Does not read positions whose dead letters exceed their cap, until they are within it again."""
        for (position, stage), count in batch.output.dead_letters.items():
            seconds = self._caps.spend(position, stage, count)
            if seconds > 0:
                logger.warning(
                    "%s/%d is not read for %.1f s: too many of its records became dead letters at stage %s",
                    *(position[0], position[1], seconds, stage),
                )
                self._assignment.hold(position, seconds)

    def _abort(self, batch: StagedBatch, epoch: int, error: OrchestratorError) -> None:
        """Aborts and rewinds. Repeated aborts at the same offsets shrink the batch."""
        logger.warning("aborting transaction %d; its inputs will be read again: %s", batch.number, error)
        if not self._isolate(batch, error) and self._aborts > 1:
            self._stopping.wait(self.settings.unavailable_wait_s)
        failed: OrchestratorError | None = None
        try:
            self._transactions.abort(self._deadline())
        except (FatalError, UnavailableError, AbortableError) as again:
            failed = again
        match failed:
            case None:
                self._observer.failed(ABORTED)
                self._assignment.rewind()
            case FatalError():
                self._recover(batch, epoch, failed)
            case _:
                logger.warning(
                    "transaction %d could not be aborted; checking the committed offsets: %s",
                    batch.number,
                    failed,
                )
                self._resolve_outcome(batch, epoch)

    def _isolate(self, batch: StagedBatch, error: OrchestratorError) -> bool:
        """Halves the batch until the input whose outputs are refused is alone in it, and poisons that input. Only a
        record that the broker refuses for what it is poisons an input, an outage never does, and neither does a batch
        with checkpoints: theirs may be the record, and the next batch is without them.

        Returns whether a record was refused."""
        self._aborts += 1
        refused = isinstance(error, ContractError) or (isinstance(error, AbortableError) and error.refused)
        if refused and batch.has_checkpoints:
            logger.error(
                "the broker refuses a record of a batch with checkpoints of partitions. If that comes again, "
                "max.message.bytes of %s is too low: restores take longer without checkpoints",
                Topic.SNAPSHOTS,
            )
            return True
        if refused and len(batch.inputs) == 1:
            self._decider.poison(batch.inputs[0], str(error))
        if refused or self._aborts % self.settings.aborts_before_halving == 0:
            self._limit = max(1, min(self._limit, len(batch.inputs)) // 2)
        return refused

    def _recover(self, batch: StagedBatch, epoch: int, error: FatalError) -> None:
        """Replaces a producer that failed permanently. If it was fenced, the slot must still be ours: raises
        `FencedError` otherwise."""
        logger.warning("the producer failed in transaction %d and is replaced: %s", batch.number, error)
        if isinstance(error, FencedError):
            self._verify_membership()
        self._resolve_outcome(batch, epoch)

    def _verify_membership(self) -> None:
        deadline = self._deadline()
        while not self._stopping.is_set():
            try:
                self._assignment.verify_membership()
            except OwnershipLost:
                pass
            except UnavailableError as error:
                if deadline.passed:
                    raise
                logger.warning("the group coordinator did not confirm the membership; retrying: %s", error)
                self._stopping.wait(self.settings.unavailable_wait_s)
                continue
            else:
                return
            self._assignment.poll_group(self.settings.unavailable_wait_s)

    def _resolve_outcome(self, batch: StagedBatch, epoch: int) -> None:
        """Finds out whether the transaction was committed, from the transaction numbers in the committed offsets.
        Raises `UnavailableError` if they cannot be read in time."""
        self._transactions.discard()
        self._transactions.prepare(self._deadline())
        if epoch != self._assignment.epoch:
            # The partitions have been restored since: their live state is what was committed.
            self._observer.failed(RESTORED)
            self._assignment.rewind()
            return
        numbers = self._assignment.committed_batches(batch.touched())
        before = {number: self._assignment.partitions[number].batch for number in numbers}
        if all(committed == batch.number for committed in numbers.values()):
            logger.info("transaction %d was committed", batch.number)
            self._promote(batch)
            self._assignment.rewind()
        elif numbers == before:
            logger.info("transaction %d was not committed; its inputs will be read again", batch.number)
            self._observer.failed(ABORTED)
            self._assignment.rewind()
        else:
            logger.warning(
                "the committed offsets name transactions %s, not %d; restoring all partitions",
                numbers,
                batch.number,
            )
            self._observer.failed(RESTORED)
            self._assignment.restore_all()

    def _deadline(self) -> Deadline:
        return Deadline.after(self.settings.transaction_s)


__all__ = ["GROUP", "Agents", "LoopSettings", "SagaLoop"]

"""The partitions of one slot: their state and timers, and the consumers that read and restore them."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError, OwnershipLost
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import (
    Assignor,
    Bus,
    Commit,
    Consumer,
    GroupMetadata,
    Position,
    Reading,
    Received,
    Start,
)
from orchestrator.engine.fencing import RestoreError, fatal_is_fenced
from orchestrator.engine.held import HeldPositions
from orchestrator.engine.linger import poll_lingering
from orchestrator.engine.offset_metadata import batch_number, metadata_of
from orchestrator.engine.recovery.partition_counts import commits_of, common_count, refuse_other_count
from orchestrator.engine.recovery.progress import Progress
from orchestrator.engine.recovery.restore import restore
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import INPUT_TOPICS, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.saga import next_due

logger: Final = logging.getLogger(__name__)

GROUP: Final = "orchestrator"
SUBSCRIBED: Final = (Topic.EVENTS, Topic.CONTROL)


class SlotAssignment:
    """Owns the partitions that the group assigns to this slot. Used by one thread.

    The group consumer subscribes to events and control. The task consumer is assigned the same partitions by hand,
    so that tasks wait in their topic while replies are read. The restore consumer reads snapshots and history.
    """

    def __init__(self, bus: Bus, name: str, encoder: Encoder, timeouts: tuple[float, float]) -> None:
        """`timeouts`: of one request, and of restoring all partitions of an assignment, in seconds."""
        self.partitions: dict[int, Partition] = {}
        self.timers = Timers()
        self.restored: list[Progress] = []
        """One entry for each restore of a partition."""
        self.ready = threading.Event()
        """Set while partitions are assigned and restored. Any thread may wait for it."""
        self.restoring = False
        """Whether a restore is running. Any thread may read it."""
        self.last_batch = 0
        """Number of the last committed transaction."""
        self.epoch = 0
        """Changes whenever partitions are assigned, revoked or restored."""
        self.partition_count = common_count(bus)
        self._foreign_commits: frozenset[int] = frozenset()
        """Partitions whose committed offsets somebody else has written, as their metadata shows."""
        self.installation = bus.installation
        self.before_restore: Callable[[Deadline], object] = lambda _deadline: None
        """Ends the open transaction of a predecessor on this slot."""
        self._bus, self._name, self._encoder = bus, name, encoder
        self._request_s, self._restore_s = timeouts
        self._group_consumer: Consumer
        self._task_consumer: Consumer
        self._restore_consumer: Consumer
        self._consumers: list[Consumer] = []
        self._held = HeldPositions()
        self._is_leaving = False
        self._worked_since: float | None = None

    def join(self) -> None:
        """Joins the group. Partitions are assigned inside `poll` and `poll_group`."""
        self._worked_since = None
        self._held = HeldPositions()
        self._group_consumer = self._consumer(
            Reading(GROUP, Start.ERROR, instance=self._name, assignor=Assignor.RANGE)
        )
        self._task_consumer = self._consumer(Reading(GROUP, Start.ERROR, small_queue=True))
        self._restore_consumer = self._consumer(
            Reading(f"{self._name}-restore", Start.ERROR, to_the_end=True)
        )
        self._group_consumer.subscribe(SUBSCRIBED, self._assigned, self._revoked, self._revoked)

    def leave(self) -> None:
        """Closes the consumers. A static member keeps its partitions until its session times out."""
        self.ready.clear()
        self._is_leaving = True
        for consumer in self._consumers:
            try:
                consumer.close()
            except OrchestratorError as error:
                logger.warning("closing a consumer of %s failed: %s", self._name, error)
        self._consumers.clear()

    def rejoin(self) -> None:
        """Joins the group with new consumers and without state. Partitions are restored when they are assigned."""
        self.leave()
        self._is_leaving = False
        for number in list(self.partitions):
            self._drop(number)
        self.join()

    def has_worked_for(self, seconds: float) -> bool:
        """Whether the first restore since joining was at least `seconds` ago."""
        return self._worked_since is not None and time.monotonic() - self._worked_since >= seconds

    # -- reading

    def poll(self, limit: int, max_active: int, timeout_s: float) -> list[Received]:
        """At most `limit` records: events and control first, then tasks while fewer than `max_active` sessions per
        partition are active. Waits up to `timeout_s` for the records that are likelier to arrive: tasks if no session
        is active, events otherwise. Nothing of held positions."""
        if self._held.resume_due(self._group_consumer, self.partitions):
            self._assign_tasks()
        is_idle = not any(found.active for found in self.partitions.values())
        waits_for_task = is_idle and self._capacity(max_active) > 0
        with fatal_is_fenced(self._name):
            received = poll_lingering(self._group_consumer, limit, 0 if waits_for_task else timeout_s)
        # Partitions may have been assigned or revoked meanwhile, so the capacity is computed again.
        count = min(limit - len(received), self._capacity(max_active))
        if count > 0 and waits_for_task and not received:
            received = poll_many(self._task_consumer, count, timeout_s)
        elif count > 0:
            received += self._task_consumer.drain(count)
        return self._held.kept(record for record in received if record.partition in self.partitions)

    def hold(self, position: Position, seconds: float, *, reread: bool = False) -> None:
        """Does not read a position for a while; `reread` if a record that was read has not been handled."""
        is_ours = position[1] in self.partitions
        if is_ours and self._held.pause(self._group_consumer, position, seconds, reread=reread):
            self._assign_tasks()

    def poll_group(self, timeout_s: float) -> None:
        """Polls for rebalances alone. Rewind afterwards: a record that is read here is dropped."""
        with fatal_is_fenced(self._name):
            self._group_consumer.poll(timeout_s)

    def metadata(self) -> GroupMetadata:
        """The group metadata for the batch that was just polled. Raises `OwnershipLost`."""
        return self._group_consumer.group_metadata()

    def position(self, number: int) -> int:
        """Offset of the next event to read in a partition."""
        place = (Topic.EVENTS, number)
        if self._held.is_client_ahead(number):
            return self.partitions[number].positions[Topic.EVENTS]
        return self._group_consumer.position([place]).get(
            place, self.partitions[number].positions[Topic.EVENTS]
        )

    def rewind(self) -> None:
        """Moves all consumers back to the live positions."""
        for partition in self.partitions.values():
            self._group_consumer.seek(
                {(topic, partition.number): partition.positions[topic] for topic in SUBSCRIBED}
            )
        self._assign_tasks()

    # -- offsets

    def end_offsets(self, topic: Topic, numbers: Iterable[int]) -> dict[int, int]:
        """The `read_uncommitted` end offsets of a topic, by partition."""
        positions: list[Position] = [(topic, number) for number in numbers]
        if not positions:
            return {}
        marks = self._restore_consumer.watermarks(positions, self._deadline(), read_uncommitted=True)
        return {number: end for (_, number), (_, end) in marks.items()}

    def committed_batches(self, numbers: Iterable[int]) -> dict[int, int]:
        """Numbers of the last transactions that committed offsets of these partitions; 0 if none did."""
        places: dict[Position, int] = {(Topic.EVENTS, number): number for number in numbers}
        committed = self._group_consumer.committed(places, self._deadline())
        return {number: batch_number(committed.get(place, (0, ""))[1]) for place, number in places.items()}

    def verify_membership(self) -> None:
        """Checks with the group coordinator that this process still holds its slot, by committing the committed
        offsets again.

        Raises `FencedError` if another process holds the slot, `OwnershipLost` while the group rebalances.
        """
        places = [(topic, number) for number in self.partitions for topic in INPUT_TOPICS]
        found = self._group_consumer.committed(places, self._deadline())
        if not self.partitions:
            raise OwnershipLost("no partition is assigned to this slot")
        with fatal_is_fenced(self._name):
            self._group_consumer.commit(found or self._initial_commits())

    # -- rebalances and restores

    def restore_all(self) -> None:
        """Restores all owned partitions from the log, and rewinds."""
        self._restore(sorted(self.partitions))
        self.rewind()

    def _assigned(self, positions: tuple[Position, ...]) -> dict[Position, int]:
        numbers = sorted({number for _, number in positions})
        missing = {(topic, number) for topic in SUBSCRIBED for number in numbers} - set(positions)
        if missing:
            raise RestoreError(
                f"somebody else is a member of the consumer group {GROUP} and was assigned {sorted(missing)}: events "
                "and control are assigned together to orchestrators alone, so this one waits until the stranger leaves"
            )
        self.restoring = True
        try:
            self._restore(numbers)
        except (FatalError, UnavailableError) as error:
            raise RestoreError(f"partitions {numbers} could not be restored: {error}") from error
        finally:
            self.restoring = False
        self.ready.set()
        self._worked_since = self._worked_since or time.monotonic()
        return {(topic, number): self.partitions[number].positions[topic] for topic, number in positions}

    def _revoked(self, positions: tuple[Position, ...]) -> None:
        if self._is_leaving:
            return
        self.ready.clear()
        for number in {number for _, number in positions}:
            self._drop(number)
        self._assign_tasks()

    def _drop(self, number: int) -> None:
        partition = self.partitions.pop(number, None)
        self._held.forget(number)
        for correlation_id in partition.live if partition else ():
            self.timers.disarm(correlation_id)
        self.epoch += 1

    def _restore(self, numbers: Sequence[int]) -> None:
        deadline = Deadline.after(self._restore_s)
        self.before_restore(deadline)
        if not self.restored:
            self._foreign_commits = refuse_other_count(
                self._group_consumer,
                self._restore_consumer,
                self._encoder.codec,
                self.partition_count,
                deadline,
            )
        places = [(topic, number) for number in numbers for topic in INPUT_TOPICS]
        committed = self._group_consumer.committed(places, deadline)
        for number in numbers:
            self._drop(number)
            commits = commits_of(number, committed, self._foreign_commits, self.partition_count)
            self._restore_one(number, commits, deadline)
        # If it stayed assigned, it would fetch history all the time and keep it in memory.
        self._restore_consumer.assign({})
        self._assign_tasks()

    def _restore_one(self, number: int, committed: dict[Topic, Commit], deadline: Deadline) -> None:
        codec, values = self._encoder.codec, self._encoder.values
        partition, progress = restore(
            number, self.partition_count, self._restore_consumer, committed, codec, values, deadline
        )
        self.partitions[number] = partition
        self.restored.append(progress)
        self.last_batch = max(self.last_batch, partition.batch)
        for name, live in partition.live.items():
            self.timers.arm(number, name, next_due(live.session))
        for name, damage in partition.damaged.items():
            logger.error("session %s is damaged and will be quarantined: %s", name, damage.reason)
        logger.info("restored %s", progress)

    def _capacity(self, max_active: int) -> int:
        """How many sessions may start, of small tasks."""
        owned = self.partitions.values()
        return max_active * len(owned) - sum(partition.places for partition in owned)

    def _assign_tasks(self) -> None:
        self._task_consumer.assign(
            {
                (Topic.TASKS, number): found.positions[Topic.TASKS]
                for number, found in self.partitions.items()
                if (Topic.TASKS, number) not in self._held
            }
        )

    def _initial_commits(self) -> dict[Position, Commit]:
        return {
            (topic, number): (offset, metadata_of(found.batch, self.partition_count, found.sessions_end))
            for number, found in self.partitions.items()
            for topic, offset in found.positions.items()
        }

    def _consumer(self, reading: Reading) -> Consumer:
        consumer = self._bus.consumer(reading)
        self._consumers.append(consumer)
        return consumer

    def _deadline(self) -> Deadline:
        return Deadline.after(self._request_s)

"""The partitions of one slot: which they are, what lives in them, and where they are read on."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError, FencedError, OwnershipLost
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
from orchestrator.engine.linger import LINGER_S, may_linger
from orchestrator.engine.recovery.partition_counts import common_count, refuse_other_count
from orchestrator.engine.recovery.restore import (
    Progress,
    batch_number,
    metadata_of,
    restore,
)
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import INPUT_TOPICS, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.saga import next_due

logger: Final = logging.getLogger(__name__)

GROUP: Final = "orchestrator"
SUBSCRIBED: Final = (Topic.EVENTS, Topic.CONTROL)


class NotRestored(OrchestratorError):  # noqa: N818 - named after the state it tells
    """Partitions came that could not be restored now: join anew, or nobody reads them."""


class SlotAssignment:
    """Events and control are subscribed; a second consumer is assigned the same partitions of tasks by hand, so
    that tasks may wait while replies go on; a third reads what is restored. Used by one thread.
    """

    def __init__(self, bus: Bus, name: str, encoder: Encoder, limits: tuple[float, float]) -> None:
        """`limits`: of one answer and of restoring everything, seconds."""
        self.partitions: dict[int, Partition] = {}
        self.timers = Timers()
        self.restored: list[Progress] = []
        self.ready = threading.Event()
        """Set while partitions are owned and restored."""
        self.restoring = False
        """Whether history is being read. Any thread may look."""
        self.last_batch = 0
        self.epoch = 0
        """Changes whenever partitions came, went or were restored."""
        self.partition_count = common_count(bus)
        self.before_restore: Callable[[Deadline], object] = lambda _deadline: None
        """Ends what a predecessor of this slot left open."""
        self._encoder = encoder
        self._answer_s, self._restore_s = limits
        self._bus = bus
        self._name = name
        self._group: Consumer
        self._tasks: Consumer
        self._reader: Consumer
        self._clients: list[Consumer] = []
        self._is_leaving = False
        self._worked_since: float | None = None

    def join(self) -> None:
        """Joins the group; partitions come while `take` or `serve` runs."""
        self._worked_since = None
        self._group = self._consumer(
            Reading(GROUP, Start.ERROR, instance=self._name, assignor=Assignor.RANGE)
        )
        self._tasks = self._consumer(Reading(GROUP, Start.ERROR, small_queue=True))
        self._reader = self._consumer(Reading(f"{self._name}-restore", Start.ERROR, to_the_end=True))
        self._group.subscribe(SUBSCRIBED, self._assigned, self._revoked, self._revoked)

    def leave(self) -> None:
        """Ends the clients; a static member keeps its partitions until its session times out."""
        self.ready.clear()
        self._is_leaving = True
        for consumer in self._clients:
            try:
                consumer.close()
            except OrchestratorError as error:
                logger.warning("a consumer did not close in order: %s", error)
        self._clients.clear()

    def rejoin(self) -> None:
        """Leaves and joins with new clients, knowing nothing; partitions come while `take` runs."""
        self.leave()
        self._is_leaving = False
        for number in list(self.partitions):
            self._drop(number)
        self.join()

    def has_worked_for(self, seconds: float) -> bool:
        """Whether it is so long ago that partitions were restored first since it joined."""
        return self._worked_since is not None and time.monotonic() - self._worked_since >= seconds

    # -- reading

    def take(self, limit: int, active: int, timeout_s: float, tasks: int | None = None) -> list[Received]:
        """Events and control first; tasks as long as sessions may begin. Whoever is likelier to come is waited
        for: while no session is under way that is a task.

        `limit` records at most, `active` sessions a partition; `tasks` bounds how many of the records are tasks.
        """
        tasks = limit if tasks is None else tasks
        may_begin = min(tasks, self._room(active))
        is_quiet = may_begin > 0 and not any(found.active for found in self.partitions.values())
        with self._ended_when_fenced():
            taken = self._waited(self._group, limit, 0 if is_quiet else timeout_s)
            linger_until = Deadline.after(LINGER_S)
            while taken and len(taken) < limit and may_linger(taken) and not linger_until.passed:
                taken += self._waited(self._group, limit - len(taken), linger_until.remaining())
        # Counted anew: partitions may have come and gone.
        room = min(limit - len(taken), tasks, self._room(active))
        if room > 0:
            waits = is_quiet and not taken
            taken += self._waited(self._tasks, room, timeout_s) if waits else self._tasks.drain(room)
        return [record for record in taken if record.partition in self.partitions]

    def serve(self, timeout_s: float) -> None:
        """Lets the group tell what it has to, and takes nothing: rewind afterwards."""
        with self._ended_when_fenced():
            self._group.poll(timeout_s)

    def metadata(self) -> GroupMetadata:
        """Of the batch just taken. Raises `OwnershipLost`."""
        return self._group.group_metadata()

    def position(self, number: int) -> int:
        """Next event to be read of a partition."""
        place = (Topic.EVENTS, number)
        return self._group.position([place]).get(place, self.partitions[number].positions[Topic.EVENTS])

    def rewind(self) -> None:
        """Reads on from where the live states are."""
        for partition in self.partitions.values():
            self._group.seek({(topic, partition.number): partition.positions[topic] for topic in SUBSCRIBED})
        self._assign_tasks()

    # -- looking

    def ends(self, topic: Topic, numbers: Iterable[int]) -> dict[int, int]:
        """Ends of a topic's partitions, as `read_uncommitted` sees them."""
        positions: list[Position] = [(topic, number) for number in numbers]
        if not positions:
            return {}
        marks = self._reader.watermarks(positions, self._deadline(), read_uncommitted=True)
        return {number: end for (_, number), (_, end) in marks.items()}

    def committed_batches(self, numbers: Iterable[int]) -> dict[int, int]:
        """Numbers of the last transactions that committed for these partitions; 0 where none did."""
        places: dict[Position, int] = {(Topic.EVENTS, number): number for number in numbers}
        committed = self._group.committed(places, self._deadline())
        return {number: batch_number(committed.get(place, (0, ""))[1]) for place, number in places.items()}

    def prove_membership(self) -> None:
        """Asks the group whether we are the member that we think, by committing once more what is committed.

        Raises `FencedError` where another process has our slot, `OwnershipLost` while the group rebalances.
        """
        places = [(topic, number) for number in self.partitions for topic in INPUT_TOPICS]
        found = self._group.committed(places, self._deadline())
        if not self.partitions:
            raise OwnershipLost("no partition is assigned")
        with self._ended_when_fenced():
            self._group.commit(found or self._first_commits())

    # -- partitions come and go

    def restore_all(self) -> None:
        self._restore(sorted(self.partitions))
        self.rewind()

    def _assigned(self, positions: tuple[Position, ...]) -> dict[Position, int]:
        numbers = sorted({number for _, number in positions})
        missing = {(topic, number) for topic in SUBSCRIBED for number in numbers} - set(positions)
        if missing:
            raise ConfigurationError(
                f"events and control are not assigned together: {sorted(missing)} missing"
            )
        self.restoring = True
        try:
            self._restore(numbers)
        except (FatalError, UnavailableError) as error:
            raise NotRestored(f"partitions {numbers} could not be restored: {error}") from error
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
        for correlation_id in partition.live if partition else ():
            self.timers.forget(correlation_id)
        self.epoch += 1

    def _restore(self, numbers: Sequence[int]) -> None:
        deadline = Deadline.after(self._restore_s)
        self.before_restore(deadline)
        if not self.restored:
            refuse_other_count(self._group, self.partition_count)
        places = [(topic, number) for number in numbers for topic in INPUT_TOPICS]
        committed = self._group.committed(places, deadline)
        for number in numbers:
            self._drop(number)
            own = {topic: commit for (topic, found), commit in committed.items() if found == number}
            self._restore_one(number, own, deadline)
        # Left assigned, it would fetch history for ever and keep it.
        self._reader.assign({})
        self._assign_tasks()

    def _restore_one(self, number: int, committed: dict[Topic, Commit], deadline: Deadline) -> None:
        codec, values = self._encoder.codec, self._encoder.values
        partition, progress = restore(
            number, self.partition_count, self._reader, committed, codec, values, deadline
        )
        self.partitions[number] = partition
        self.restored.append(progress)
        self.last_batch = max(self.last_batch, partition.batch)
        for name, live in partition.live.items():
            self.timers.arm(number, name, next_due(live.session))
        for name, damage in partition.damaged.items():
            logger.error("session %s is quarantined: %s", name, damage.reason)
        logger.info(
            "restored partition %d in %.1f s: %d sessions, from %d snapshots and %d events",
            number,
            progress.seconds,
            progress.live,
            progress.snapshots,
            progress.events,
        )

    @staticmethod
    def _waited(consumer: Consumer, limit: int, timeout_s: float) -> list[Received]:
        """One record, waited for, and what is there behind it."""
        first = consumer.poll(timeout_s)
        return [] if first is None else [first, *consumer.drain(limit - 1)]

    def _room(self, active: int) -> int:
        found = self.partitions.values()
        return active * len(found) - sum(partition.active for partition in found)

    def _assign_tasks(self) -> None:
        self._tasks.assign(
            {(Topic.TASKS, number): found.positions[Topic.TASKS] for number, found in self.partitions.items()}
        )

    def _first_commits(self) -> dict[Position, Commit]:
        return {
            (topic, number): (offset, metadata_of(found.batch, self.partition_count))
            for number, found in self.partitions.items()
            for topic, offset in found.positions.items()
        }

    @contextmanager
    def _ended_when_fenced(self) -> Iterator[None]:
        """The one thing that is fatal to a member of a classic group is another with its name; the client
        does not say so every time."""
        try:
            yield
        except FatalError as error:
            raise FencedError(
                f"another process runs as {self._name}: give each copy a slot of its own ({error})"
            ) from error

    def _consumer(self, reading: Reading) -> Consumer:
        consumer = self._bus.consumer(reading)
        self._clients.append(consumer)
        return consumer

    def _deadline(self) -> Deadline:
        return Deadline.after(self._answer_s)

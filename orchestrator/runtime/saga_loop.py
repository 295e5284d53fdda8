"""The orchestrator's loop: one thread owns the consumers and the transactional producer.

1. Wait for one record, drain more up to a count, capture the group metadata; add what is due.
2. Decide and evolve into a stage.
3. Begin; send; send the offsets with the captured metadata; commit.
4. Only then promote the stage. An abort drops it and rewinds to the committed positions.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, AmbiguousCommit, FencedError, OwnershipLost
from orchestrator.bus.ports import (
    Assignor,
    Bus,
    Consumer,
    GroupMetadata,
    Outgoing,
    Position,
    Reading,
    Received,
    Start,
    TransactionalProducer,
)
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import commands, identity
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile, Failure, FailureKind
from orchestrator.runtime.intake import Intake, Taken, submission
from orchestrator.runtime.live import Partition, Timers
from orchestrator.runtime.restore import Progress, batch_number, restore
from orchestrator.runtime.stage import CHECKPOINT_MICROS, Stage
from orchestrator.saga import TimePassed

log = logging.getLogger(__name__)

GROUP: Final = "orchestrator"
_SHORTEST_WAIT_S: Final = 0.001
SUBSCRIBED: Final = (Topic.EVENTS, Topic.CONTROL)


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
    restore_s: float = 300.0
    """Time limit of restoring all partitions of one assignment."""
    unavailable_wait_s: float = 1.0
    """How long to wait for a registry or broker before asking again."""
    aborts_before_halving: int = 3
    """Aborts at the same offsets after which the batch is halved to find the culprit."""


class Agents(Protocol):
    """Where profiles are looked up at acceptance."""

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name, looked for again before the answer is no."""


class SagaLoop:
    """One slot of the orchestrator. `run` returns after `stop`, or raises what cannot be mended here."""

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        agents: Agents,
        clock: Callable[[], int],
        settings: LoopSettings,
        on_committed: Callable[[Sequence[Message]], None] = lambda _messages: None,
    ) -> None:
        self.settings = settings
        self.partitions: dict[int, Partition] = {}
        self.restored: list[Progress] = []
        self.ready = threading.Event()
        """Set while partitions are owned and restored."""
        self._bus = bus
        self._codec = codec
        self._agents = agents
        self._clock = clock
        self._on_committed = on_committed
        self._stopping = threading.Event()
        self._partition_count = _common_count(bus)
        self._intake = Intake(codec, self._partition_count)
        self._timers = Timers()
        self._read_up: dict[int, tuple[int, int]] = {}
        """By partition: when the end of events was looked at, and where it lay."""
        self._aborts = 0
        self._batch_limit = settings.batch
        self._last_batch = 0

    @property
    def name(self) -> str:
        return f"{GROUP}-{self.settings.slot}"

    def stop(self) -> None:
        """Asks the loop to end after the batch in hand. Any thread may call."""
        self._stopping.set()

    def run(self) -> None:
        reading = Reading(GROUP, Start.ERROR, instance=self.name, assignor=Assignor.RANGE)
        self._group = self._bus.consumer(reading)
        self._tasks = self._bus.consumer(Reading(GROUP, Start.ERROR, small_queue=True))
        self._reader = self._bus.consumer(Reading(f"{self.name}-restore", Start.ERROR))
        self._producer = self._new_producer()
        try:
            self._group.subscribe(SUBSCRIBED, self._assigned, self._revoked, self._revoked)
            while not self._stopping.is_set():
                self._cycle()
        finally:
            self.ready.clear()
            self._close()

    def _cycle(self) -> None:
        received = self._take()
        if not received and not self._is_due():
            return
        try:
            metadata = self._group.group_metadata()
        except OwnershipLost:
            self._rewind()
            return
        now = self._clock()
        try:
            stage = self._staged(received, now)
        except UnavailableError as error:
            log.warning("inputs wait, because something they need does not answer: %s", error)
            self._stopping.wait(self.settings.unavailable_wait_s)
            self._rewind()
            return
        if not stage.outgoing:
            stage.skip()
            return
        self._write(stage, metadata, now)

    # -- 1. what there is to do

    def _take(self) -> list[Received]:
        """Events and control first; tasks as long as sessions may begin. Tasks are not waited for."""
        first = self._group.poll(self._patience())
        taken = [] if first is None else [first, *self._group.drain(self._batch_limit - 1)]
        room = min(self._batch_limit - len(taken), self._room())
        if room > 0:
            taken += self._tasks.drain(room)
        return [record for record in taken if record.partition in self.partitions]

    def _patience(self) -> float:
        """Seconds to wait for an event: until something is due, and no longer than a task may wait."""
        due = self._timers.next_at()
        idle = self.settings.idle_wait_s
        return idle if due is None else min(idle, max(_SHORTEST_WAIT_S, (due - self._clock()) / 1e6))

    def _room(self) -> int:
        active = sum(partition.active for partition in self.partitions.values())
        return self.settings.active_sessions * len(self.partitions) - active

    def _is_due(self) -> bool:
        due = self._timers.next_at()
        return due is not None and due <= self._clock()

    # -- 2. decide into a stage

    def _staged(self, received: Sequence[Received], now: int) -> Stage:
        source = f"/{GROUP}/{self.settings.slot}"
        stage = Stage(self._last_batch + 1, self.partitions, self._codec, source)
        for record in received:
            stage.read(record)
            self._tell(stage, record, now)
        for correlation_id, partition, due in self._timers.due(now, self._batch_limit):
            if self._has_read_up_to(partition, due):
                session = stage.session(partition, correlation_id)
                sequence = session.sequence if session else 0
                told = TimePassed(message_id=identity.derived_id("due", correlation_id, sequence, due))
                stage.tell(partition, correlation_id, told, now)
        return stage

    def _tell(self, stage: Stage, record: Received, now: int) -> None:
        try:
            taken = self._intake.take(record)
        except ContractError as error:
            failure = Failure(kind=FailureKind.PERMANENT, code="not_processable", message=str(error))
            stage.reject(record, failure, "decode", now)
            return
        if isinstance(taken, Outgoing):
            stage.forward(taken)
        elif isinstance(taken, Taken):
            self._tell_session(stage, record, taken, now)

    def _tell_session(self, stage: Stage, record: Received, taken: Taken, now: int) -> None:
        message = taken.message
        if isinstance(message, commands.SubmitTask):
            told = submission(message, self._agents.profile(message.agent), record)
            stage.tell(record.partition, taken.correlation_id, told, now, record)
        else:
            stage.tell(record.partition, taken.correlation_id, message, now, record)  # type: ignore[arg-type]

    def _has_read_up_to(self, partition: int, due: int) -> bool:
        """Whether every event is read that lay in the topic at a look taken after the due time: replies that
        waited behind an outage win over their time-outs."""
        position: Position = (Topic.EVENTS, partition)
        looked_at, end = self._read_up.get(partition, (-1, 0))
        if looked_at < due:
            looked_at = self._clock()
            marks = self._reader.watermarks([position], self._deadline(), read_uncommitted=True)
            end = marks[position][1]
            self._read_up[partition] = (looked_at, end)
        at = self._group.position([position]).get(
            position, self.partitions[partition].positions[Topic.EVENTS]
        )
        return at >= end

    # -- 3. and 4. write, then promote

    def _write(self, stage: Stage, metadata: GroupMetadata, now: int) -> None:
        stage.close(self._ends_to_checkpoint(stage, now), self._partition_count, now)
        deadline = self._deadline()
        try:
            self._producer.begin()
            for outgoing in stage.outgoing:
                self._producer.send(outgoing)
            self._producer.send_offsets(stage.offsets(), metadata, deadline)
            self._producer.commit(deadline)
        except AbortableError as error:
            self._give_up(stage, error)
        except AmbiguousCommit as error:
            log.warning("transaction %d: %s", stage.number, error)
            self._resolve(stage)
        except (UnavailableError, OwnershipLost) as error:
            self._give_up(stage, error)
        except FencedError:
            self._replace_fenced_producer()
        else:
            self._promote(stage)

    def _promote(self, stage: Stage) -> None:
        self._aborts = 0
        self._batch_limit = self.settings.batch
        self._last_batch = stage.number
        stage.promote(self._timers)
        self._on_committed(stage.messages)

    def _give_up(self, stage: Stage, error: Exception) -> None:
        """Aborts and rewinds. The same offsets aborted again and again: smaller batches find the culprit."""
        log.warning("transaction %d is taken back: %s", stage.number, error)
        self._aborts += 1
        if self._aborts >= self.settings.aborts_before_halving:
            self._aborts = 0
            self._batch_limit = max(1, self._batch_limit // 2)
        try:
            self._producer.abort(self._deadline())
        except (UnavailableError, AbortableError, FencedError):
            self._replace_fenced_producer()
        else:
            self._rewind()

    def _resolve(self, stage: Stage) -> None:
        """Nobody knows whether the commit happened: the batch numbers in the committed offsets tell."""
        self._producer.close()
        self._producer = self._new_producer()
        positions = [(Topic.EVENTS, number) for number in stage.touched()]
        committed = self._group.committed(positions, self._deadline())
        numbers = {
            number: batch_number(committed.get((Topic.EVENTS, number), (0, ""))[1])
            for number in stage.touched()
        }
        if all(found == stage.number for found in numbers.values()):
            self._promote(stage)
        elif all(found == self.partitions[number].batch for number, found in numbers.items()):
            self._rewind()
        else:
            self._restore_all()

    def _replace_fenced_producer(self) -> None:
        """A new producer, only while the group still counts us in; otherwise `FencedError` ends the loop."""
        self._producer.close()
        self._group.commit(
            {
                (topic, partition.number): (offset, str(partition.batch))
                for partition in self.partitions.values()
                for topic, offset in partition.positions.items()
            }
        )
        self._producer = self._new_producer()
        self._rewind()

    def _rewind(self) -> None:
        """Reads on from what is committed."""
        for partition in self.partitions.values():
            self._group.seek({(topic, partition.number): partition.positions[topic] for topic in SUBSCRIBED})
        self._assign_tasks()

    def _ends_to_checkpoint(self, stage: Stage, now: int) -> dict[int, int]:
        """Fresh ends of the sessions topic, for partitions whose checkpoint is old enough to be written."""
        numbers = [
            number
            for number in stage.touched()
            if now - self.partitions[number].checkpoint_at > CHECKPOINT_MICROS
        ]
        if not numbers:
            return {}
        positions: list[Position] = [(Topic.SESSIONS, number) for number in numbers]
        marks = self._reader.watermarks(positions, self._deadline(), read_uncommitted=True)
        return {number: marks[Topic.SESSIONS, number][1] for number in numbers}

    # -- partitions come and go

    def _assigned(self, positions: tuple[Position, ...]) -> dict[Position, int]:
        numbers = sorted({number for _, number in positions})
        missing = {(topic, number) for topic in SUBSCRIBED for number in numbers} - set(positions)
        if missing:
            raise ConfigurationError(
                f"events and control are not assigned together: {sorted(missing)} missing"
            )
        self._restore(numbers)
        return {(topic, number): self.partitions[number].positions[topic] for topic, number in positions}

    def _revoked(self, positions: tuple[Position, ...]) -> None:
        self.ready.clear()
        for _, number in positions:
            partition = self.partitions.pop(number, None)
            for correlation_id in partition.live if partition else ():
                self._timers.forget(correlation_id)
        self._assign_tasks()

    def _restore_all(self) -> None:
        self._restore(sorted(self.partitions))
        self._rewind()

    def _restore(self, numbers: Sequence[int]) -> None:
        deadline = Deadline.after(self.settings.restore_s)
        wanted = [(topic, number) for number in numbers for topic in (*SUBSCRIBED, Topic.TASKS)]
        committed = self._group.committed(wanted, deadline)
        for number in numbers:
            own = {topic: commit for (topic, found), commit in committed.items() if found == number}
            partition, progress = restore(
                number, self._partition_count, self._reader, own, self._codec, deadline
            )
            self.partitions[number] = partition
            self.restored.append(progress)
            self._last_batch = max(self._last_batch, partition.batch)
            for live in partition.live.values():
                self._timers.arm(number, live.session)
            for problem in progress.damaged:
                log.error("partition %d: %s; the session is quarantined", number, problem)
        self._assign_tasks()
        self.ready.set()
        log.info("restored %d partitions", len(numbers))

    def _assign_tasks(self) -> None:
        self._tasks.assign(
            {(Topic.TASKS, number): found.positions[Topic.TASKS] for number, found in self.partitions.items()}
        )

    def _new_producer(self) -> TransactionalProducer:
        producer = self._bus.transactional_producer(self.name)
        producer.init(self._deadline())
        return producer

    def _deadline(self) -> Deadline:
        return Deadline.after(self.settings.transaction_s)

    def _close(self) -> None:
        self._producer.close()
        for consumer in (self._group, self._tasks, self._reader):
            _closed(consumer)


def _closed(consumer: Consumer) -> None:
    try:
        consumer.close()
    except UnavailableError as error:
        log.warning("a consumer did not close in time: %s", error)


def _common_count(bus: Bus) -> int:
    """Partitions of the session topics, which must be the same for all."""
    topics = (Topic.TASKS, Topic.CONTROL, Topic.EVENTS, Topic.SESSIONS, Topic.SNAPSHOTS)
    counts = {topic: bus.partitions(topic) for topic in topics}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        raise ConfigurationError(
            f"the session topics must have one partition count, and have: {found}. A session's messages "
            "meet by partition number: make the topics anew with `orchestrator topics apply`"
        )
    return counts[Topic.EVENTS]

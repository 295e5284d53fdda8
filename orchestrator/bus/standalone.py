"""Reading partitions outside of any consumer group, up to their current ends: for people and checks, not services."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Bus, Consumer, Position, Reading, Received, Start
from orchestrator.errors import UnavailableError
from orchestrator.messages.catalogue import Topic

STANDALONE = Reading(group="orchestrator-look", start=Start.BEGINNING)
"""How a standalone consumer reads: it joins no group and commits nothing, so any number may read at once."""

_BACKWARDS = replace(STANDALONE, small_queue=True, to_the_end=True)
"""A portion is short: a large queue would mostly hold what was read before."""

_WAIT_S = 0.1
_MARKERS_S = 2.0
"""How long to wait for a transaction that may be committed already: its markers follow the response to its
producer, within milliseconds on a healthy cluster. One that stays open longer is not committed yet."""
_BATCH = 500
_NEWEST = 500
"""Offsets of the newest portion when reading backwards; each portion is twice as long as the one before."""


def session_partition(bus: Bus, topic: Topic, correlation_id: str) -> Position:
    """The partition of a session's records in a topic that is keyed by session."""
    return topic, partition_of(correlation_id, bus.partitions(topic))


def all_partitions(bus: Bus, topic: Topic) -> list[Position]:
    return [(topic, partition) for partition in range(bus.partitions(topic))]


def read_to_end(bus: Bus, positions: Iterable[Position], timeout_s: float) -> Iterator[Received]:
    """The committed records of these partitions, from the beginning to the current end.

    Records of a partition come in order. Raises `UnavailableError` when none comes for `timeout_s`.
    """
    consumer = bus.consumer(STANDALONE)
    try:
        deadline = Deadline.after(timeout_s)
        marks = consumer.watermarks(positions, deadline, read_uncommitted=True)
        ends = {place: end for place, (begin, end) in marks.items() if begin < end}
        committed = {place: end for place, (_, end) in consumer.watermarks(ends, deadline).items()}
        consumer.assign({place: marks[place][0] for place in ends})
        quiet = Deadline.after(_MARKERS_S)
        while ends:
            batch = poll_many(consumer, _BATCH, min(_WAIT_S, deadline.remaining()))
            if batch:
                deadline, quiet = Deadline.after(timeout_s), Deadline.after(_MARKERS_S)
            for received in batch:
                if received.offset < ends.get((received.topic, received.partition), 0):
                    yield received
            # Markers of transactions take offsets too, so the last record is not at the end.
            reached = consumer.position(ends)
            ends = {place: end for place, end in ends.items() if reached.get(place, 0) < end}
            if quiet.passed and all(reached.get(place, 0) >= committed[place] for place in ends):
                return
            if ends and deadline.passed:
                raise _timed_out(ends, timeout_s)
    finally:
        consumer.close()


def read_backwards(
    bus: Bus, position: Position, deadline: Deadline, is_stopped: Callable[[], bool]
) -> Generator[list[Received], None, None]:
    """The committed records of a partition up to its current end, in portions: the newest first, each in order.

    A reader that stops early has read at most some 500 records, or twice what it needed. Close the iterator then.
    Raises `UnavailableError` at the deadline, and soon after `is_stopped` says so.
    """
    consumer = bus.consumer(_BACKWARDS)
    try:
        begin, end = consumer.watermarks([position], deadline, read_uncommitted=True)[position]
        committed = consumer.watermarks([position], deadline)[position][1]
        length = _NEWEST
        while begin < end:
            start = max(begin, end - length)
            portion = _Portion(consumer, position, start, end)
            while not portion.is_read(committed):
                if is_stopped():
                    raise UnavailableError(f"reading {position[0]}/{position[1]} was stopped")
                if deadline.passed:
                    raise UnavailableError(f"{position[0]}/{position[1]} was not read in time")
                portion.read(min(_WAIT_S, deadline.remaining()))
            yield portion.records
            # Behind a transaction that stays open nothing is committed, so nothing is waited for twice.
            end = start if portion.is_whole else min(start, committed)
            length *= 2
    finally:
        consumer.close()


class _Portion:
    """The records from one offset to another, as far as they are committed."""

    def __init__(self, consumer: Consumer, position: Position, start: int, end: int) -> None:
        self.records: list[Received] = []
        self._consumer = consumer
        self._position = position
        self._end = end
        self._reached = start
        self._quiet = Deadline.after(_MARKERS_S)
        consumer.assign({position: start})

    @property
    def is_whole(self) -> bool:
        return self._reached >= self._end

    def is_read(self, committed: int) -> bool:
        """Whether it is whole, or ends in a transaction that is not committed yet."""
        return self.is_whole or (self._quiet.passed and self._reached >= min(committed, self._end))

    def read(self, timeout_s: float) -> None:
        batch = poll_many(self._consumer, _BATCH, timeout_s)
        if batch:
            self._quiet = Deadline.after(_MARKERS_S)
        self.records += [received for received in batch if received.offset < self._end]
        # Markers of transactions take offsets too, so the last record is not at the end.
        reached = self._consumer.position([self._position])
        self._reached = max(self._reached, reached.get(self._position, 0))


def _timed_out(ends: Iterable[Position], timeout_s: float) -> UnavailableError:
    waiting = ", ".join(f"{topic}/{partition}" for topic, partition in ends)
    return UnavailableError(f"no record of {waiting} arrived for {timeout_s:.0f} s: is Kafka running?")

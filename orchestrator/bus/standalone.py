"""Reading partitions outside of any consumer group, up to their current ends: for people and checks, not services."""

from collections.abc import Iterable, Iterator

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Bus, Position, Reading, Received, Start
from orchestrator.errors import UnavailableError
from orchestrator.messages.catalogue import Topic

STANDALONE = Reading(group="orchestrator-look", start=Start.BEGINNING)
"""How a standalone consumer reads: it joins no group and commits nothing, so any number may read at once."""

_WAIT_S = 0.1
_MARKERS_S = 2.0
"""How long to wait for a transaction that may be committed already: its markers follow the response to its
producer, within milliseconds on a healthy cluster. One that stays open longer is not committed yet."""
_BATCH = 500


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


def _timed_out(ends: Iterable[Position], timeout_s: float) -> UnavailableError:
    waiting = ", ".join(f"{topic}/{partition}" for topic, partition in ends)
    return UnavailableError(f"no record of {waiting} arrived for {timeout_s:.0f} s: is Kafka running?")

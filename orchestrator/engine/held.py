"""Positions that the orchestrator does not read for a while: a schema is looked up, the value store is away,
or dead letters come too fast."""

import time
from collections.abc import Callable, Iterable, Mapping

from orchestrator.bus.ports import Consumer, Position, Received
from orchestrator.engine.state.partition import Partition
from orchestrator.messages.catalogue import Topic


class HeldPositions:
    """Which positions are held, and until when. Used by one thread.

    A record of a held position may still arrive, because the client had fetched it. It is dropped and read again after
    the release. Until then the client's position is ahead of what was handled.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Position, float] = {}
        self._ahead: set[Position] = set()
        self._maybe_paused: set[Position] = set()
        """Positions that were given up while they were held: the client may remember the pause."""

    def __contains__(self, position: Position) -> bool:
        return position in self._until

    def hold(self, position: Position, seconds: float) -> bool:
        """Holds a position, at least as long as it is held already. Returns whether it was not held."""
        is_new = position not in self._until
        self._until[position] = max(self._clock() + seconds, self._until.get(position, 0.0))
        return is_new

    def due(self) -> list[Position]:
        """The positions that are to be read again, which are no longer held from now on."""
        if not self._until:
            return []
        now = self._clock()
        found = [position for position, until in self._until.items() if until <= now]
        for position in found:
            del self._until[position]
        return found

    def pause(self, consumer: Consumer, position: Position, seconds: float, *, reread: bool = False) -> bool:
        """Holds a position of the group consumer; `reread` if a record that was read has not been handled. Returns
        whether tasks have to be assigned again instead: their consumer is assigned by hand, so held positions are just
        left out."""
        if reread:
            self.dropped(position)
        if not self.hold(position, seconds):
            return False
        if position[0] is Topic.TASKS:
            return True
        consumer.pause([position])
        return False

    def resume_due(self, consumer: Consumer, partitions: Mapping[int, Partition]) -> bool:
        """Reads positions again, behind what was handled, that were held for long enough. Returns as `pause` does."""
        released = self.due()
        for topic, number in released:
            if topic is not Topic.TASKS:
                consumer.resume([(topic, number)])
                consumer.seek({(topic, number): partitions[number].positions[topic]})
        if again := [position for position in self._maybe_paused if position[1] in partitions]:
            self._maybe_paused.difference_update(again)
            consumer.resume([position for position in again if position not in self])
        return any(topic is Topic.TASKS for topic, _ in released)

    def forget(self, number: int) -> None:
        """Holds nothing of a partition that is given up."""
        found = [position for position in self._until if position[1] == number]
        for position in found:
            del self._until[position]
        self._ahead = {position for position in self._ahead if position[1] != number}
        self._maybe_paused.update(position for position in found if position[0] is not Topic.TASKS)

    def kept(self, received: Iterable[Received]) -> list[Received]:
        """The records of positions that are not held; the others are read again later."""
        records = list(received)
        if not self._until and not self._ahead:
            return records
        kept = []
        for record in records:
            position = (record.topic, record.partition)
            if position in self._until:
                self._ahead.add(position)
            else:
                self._ahead.discard(position)
                kept.append(record)
        return kept

    def dropped(self, position: Position) -> None:
        """A record of the position was read and not handled."""
        self._ahead.add(position)

    def is_client_ahead(self, number: int) -> bool:
        """Whether the client's position in the events of a partition is ahead of what was handled."""
        return (Topic.EVENTS, number) in self._ahead

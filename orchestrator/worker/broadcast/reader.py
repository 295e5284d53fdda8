"""Reading a topic whole, in every process by itself: no group shares it, no offset is committed."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import BEGINNING, Bus, Consumer, Position, Reading, Received, Start
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

_WAIT_S: Final = 0.1
_BATCH: Final = 500
_RETRY_S: Final = 1.0
_ASK_S: Final = 10.0


class _Waiter:
    """Somebody who waits until the topic was read up to where it ends now."""

    def __init__(self) -> None:
        self.ends: dict[Position, int] | None = None
        self.reached = threading.Event()


class Broadcast:
    """One thread that reads all partitions of a topic and hands each record to `take`, on that thread.

    A broker that is away is waited for, however long: what was read stays valid meanwhile.
    """

    def __init__(
        self, bus: Bus, topic: Topic, start: int, group: str, take: Callable[[Received], None]
    ) -> None:
        """`start` is `BEGINNING` or `END`."""
        self._bus = bus
        self._topic = topic
        self._start = start
        self._group = group
        self._take = take
        self._read: dict[Position, int] = {}
        """Next offset of each partition."""
        self._waiters: list[_Waiter] = []
        self._assigned = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"read-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wait_assigned(self, deadline: Deadline) -> None:
        """Returns when reading has begun: what is written from now on is seen."""
        if not self._assigned.wait(deadline.remaining()):
            raise UnavailableError(f"{self._topic} could not be read in time: is the broker there?")

    def catch_up(self, deadline: Deadline) -> None:
        """Returns when all that the topic holds now was handed out. Any thread but the reader's may call."""
        waiter = _Waiter()
        self._waiters.append(waiter)
        if not waiter.reached.wait(deadline.remaining()):
            raise UnavailableError(
                f"{self._topic} could not be read to its end in time: is the broker there?"
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_on()
            except OrchestratorError as error:
                logger.warning("reading %s is held up: %s", self._topic, error)
                self._stop.wait(_RETRY_S)

    def _read_on(self) -> None:
        """Reads with one consumer until stopped, or until the client is of no further use."""
        positions = [(self._topic, number) for number in range(self._bus.partitions(self._topic))]
        consumer = self._bus.consumer(Reading(self._group, Start.BEGINNING))
        try:
            consumer.assign(self._offsets(consumer, positions))
            self._assigned.set()
            while not self._stop.is_set():
                try:
                    self._turn(consumer, positions)
                except UnavailableError as error:
                    logger.warning("reading %s is held up: %s", self._topic, error)
                    time.sleep(_WAIT_S)
        except FatalError:
            self._assigned.clear()
            raise
        finally:
            consumer.close()

    def _offsets(self, consumer: Consumer, positions: list[Position]) -> dict[Position, int]:
        """Where to go on, with a second client as well. The end is named by number, so that it is fixed now
        and not when the first fetch is answered."""
        watermarks = consumer.watermarks(positions, Deadline.after(_ASK_S))
        for position, (first, end) in watermarks.items():
            self._read.setdefault(position, first if self._start == BEGINNING else end)
        return dict(self._read)

    def _turn(self, consumer: Consumer, positions: list[Position]) -> None:
        received = consumer.poll(_WAIT_S)
        if received is not None:
            for record in (received, *consumer.drain(_BATCH - 1)):
                self._take(record)
                self._read[record.topic, record.partition] = record.offset + 1
        if self._waiters:
            self._tell_waiters(consumer, positions)

    def _tell_waiters(self, consumer: Consumer, positions: list[Position]) -> None:
        self._read.update(consumer.position(positions))
        for waiter in tuple(self._waiters):
            if waiter.ends is None:
                watermarks = consumer.watermarks(positions, Deadline.after(_ASK_S))
                waiter.ends = {position: end for position, (first, end) in watermarks.items() if end > first}
            if all(self._read.get(position, 0) >= end for position, end in waiter.ends.items()):
                self._waiters.remove(waiter)
                waiter.reached.set()

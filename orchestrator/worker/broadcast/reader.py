"""Reads a topic in full in every process: no group shares it, and no offset is committed."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import BEGINNING, Bus, Consumer, Position, Reading, Received, Start
from orchestrator.bus.standalone import all_partitions
from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

_POLL_TIMEOUT_S: Final = 0.1
_EAGER_TIMEOUT_S: Final = 0.005
_EAGER_S: Final = 1.0
"""How long after a `catch_up` the topic is polled eagerly: more of them are likely, and their callers wait."""
_BATCH: Final = 500
_RECONNECT_DELAY_S: Final = 1.0
_WATERMARKS_TIMEOUT_S: Final = 10.0


class _CatchUp:
    """A call of `catch_up`: waits until the topic is read up to its present end."""

    def __init__(self) -> None:
        self.ends: dict[Position, int] | None = None
        self.reached = threading.Event()


class BroadcastReader:
    """A thread that reads all partitions of a topic and calls `on_record` with each record.

    Retries indefinitely while the broker is unavailable: what was read stays valid.
    """

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        reading: tuple[Topic, int],
        group: str,
        on_record: Callable[[Received], None],
    ) -> None:
        """`reading` is a topic, and `BEGINNING` or `END`; `codec` decodes what `on_record` gets."""
        self._bus = bus
        self._topic, self._start = reading
        self._group = group
        self._codec = codec
        self._on_record = on_record
        self._next_offsets: dict[Position, int] = {}
        """Next offset to read of each partition."""
        self._catch_ups: list[_CatchUp] = []
        self._eager_until = 0.0
        self._assigned = threading.Event()
        self._problem: OrchestratorError | None = None
        """Why the last attempt to read failed; None while it is being read."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"read-{self._topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wait_assigned(self, deadline: Deadline) -> None:
        """Returns when reading has started: records written from now on are read."""
        if not self._assigned.wait(deadline.remaining()):
            raise self._late("could not be read in time")

    def catch_up(self, deadline: Deadline) -> None:
        """Returns when `on_record` has seen all that the topic holds now. Not for the reader's own thread."""
        catch_up = _CatchUp()
        self._eager_until = time.monotonic() + _EAGER_S
        self._catch_ups.append(catch_up)
        if not catch_up.reached.wait(deadline.remaining()):
            raise self._late("could not be read to its end in time")

    def _late(self, what: str) -> OrchestratorError:
        """Why it takes so long: what the last attempt failed of, if it failed."""
        if self._problem is None:
            return UnavailableError(f"{self._topic} {what}: check that Kafka is reachable")
        kind = ConfigurationError if isinstance(self._problem, ConfigurationError) else UnavailableError
        return kind(f"{self._topic} {what}: {self._problem}")

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_with_new_consumer()
            except OrchestratorError as error:
                self._problem = error
                logger.warning("cannot read %s, retrying: %s", self._topic, error)
                self._stop.wait(_RECONNECT_DELAY_S)

    def _read_with_new_consumer(self) -> None:
        """Reads until stopped, or until the client fails permanently."""
        positions = all_partitions(self._bus, self._topic)
        consumer = self._bus.consumer(Reading(self._group, Start.BEGINNING))
        try:
            consumer.assign(self._offsets(consumer, positions))
            self._problem = None
            self._assigned.set()
            while not self._stop.is_set():
                try:
                    self._run_once(consumer, positions)
                except UnavailableError as error:
                    logger.warning("cannot read %s, retrying: %s", self._topic, error)
                    time.sleep(_POLL_TIMEOUT_S)
        except FatalError:
            self._assigned.clear()
            raise
        finally:
            consumer.close()

    def _offsets(self, consumer: Consumer, positions: list[Position]) -> dict[Position, int]:
        """Where to continue, also with a second client. The end is given as a number, so that it is fixed now and
        not when the first fetch returns."""
        watermarks = consumer.watermarks(positions, Deadline.after(_WATERMARKS_TIMEOUT_S))
        for position, (first, end) in watermarks.items():
            self._next_offsets.setdefault(position, first if self._start == BEGINNING else end)
        return dict(self._next_offsets)

    def _run_once(self, consumer: Consumer, positions: list[Position]) -> None:
        is_eager = time.monotonic() < self._eager_until
        batch = poll_many(consumer, _BATCH, _EAGER_TIMEOUT_S if is_eager else _POLL_TIMEOUT_S)
        self._codec.ask(batch)
        for record in batch:
            self._on_record(record)
            self._next_offsets[record.topic, record.partition] = record.offset + 1
        if self._catch_ups:
            self._finish_catch_ups(consumer, positions)

    def _finish_catch_ups(self, consumer: Consumer, positions: list[Position]) -> None:
        self._next_offsets.update(consumer.position(positions))
        for catch_up in tuple(self._catch_ups):
            if catch_up.ends is None:
                watermarks = consumer.watermarks(positions, Deadline.after(_WATERMARKS_TIMEOUT_S))
                catch_up.ends = {
                    position: end for position, (first, end) in watermarks.items() if end > first
                }
            if all(self._next_offsets.get(position, 0) >= end for position, end in catch_up.ends.items()):
                self._catch_ups.remove(catch_up)
                catch_up.reached.set()

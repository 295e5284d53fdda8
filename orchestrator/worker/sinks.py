"""Running a sink: reads all partitions of what it asks for, from the positions that it keeps itself.

A sink runs in one copy: it reads everything, and its own transaction is what makes each message count once.
A second copy of the same sink does all the work again, which a sink that checks its positions while it writes
drops; it is no way to be faster.
"""

import logging
import threading
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Consumer, Position, Reading, Received, Start
from orchestrator.bus.standalone import all_partitions
from orchestrator.delivery.dead_letters import DECODE, UNDECODABLE
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages.base import Command, Event
from orchestrator.messages.catalogue import matching
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.sinks import Delivery, Positions, Sink, SinkPlugin
from orchestrator.worker.host import Host

logger: Final = logging.getLogger(__name__)

_ASK_S: Final = 30.0


@dataclass(frozen=True)
class SinkSettings:
    """Times in seconds."""

    batch: int = 500
    """Most records of one batch."""
    poll_s: float = 0.1
    first_retry_s: float = 0.2
    longest_retry_s: float = 10.0


class SinkRunner:
    """One sink in a thread of its own. What it cannot store is tried again, without end and slower each time."""

    def __init__(self, plugin: SinkPlugin, host: Host, settings: SinkSettings | None = None) -> None:
        """Raises `ConfigurationError` if no message matches the sink's pattern."""
        self.plugin = plugin
        self.failure: Exception | None = None
        """Why the sink ended by itself."""
        self._host = host
        self._settings = settings or SinkSettings()
        entries = [entry for entry in matching(plugin.pattern) if issubclass(entry.message, Command | Event)]
        if not entries:
            raise ConfigurationError(
                f"sink {plugin.name} waits for {plugin.pattern}, and no message is called that"
            )
        self._names = frozenset(entry.name.encode() for entry in entries)
        self._topics = sorted({entry.topic for entry in entries})
        self._dead_lettered: dict[Position, int] = {}
        """The last offset of each partition that has its dead letter."""
        self._stop = threading.Event()
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{plugin.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait_ready(self, deadline: Deadline) -> None:
        """Returns when it reads. Raises its failure, or `UnavailableError` at the deadline."""
        while not self._reading.wait(0.05):
            if self.failure is not None:
                raise self.failure
            if deadline.passed:
                raise UnavailableError(f"{self.plugin.name} could not start in time: is the broker there?")

    def stop(self, deadline: Deadline) -> None:
        """Lets the batch that is being stored end, until the deadline."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(deadline.remaining())

    def _run(self) -> None:
        try:
            sink = self.plugin.make()
            try:
                self._read_with(sink)
            finally:
                sink.close()
        except Exception as error:
            logger.error("%s has ended: %s", self.plugin.name, error, exc_info=error)
            self.failure = error

    def _read_with(self, sink: Sink) -> None:
        consumer = self._host.bus.consumer(Reading(f"sink-{self.plugin.name}", Start.ERROR))
        retry_s = self._settings.first_retry_s
        try:
            while not self._stop.is_set():
                try:
                    self._go_to(consumer, sink.positions())
                    self._reading.set()
                    while not self._stop.is_set():
                        self._turn(consumer, sink)
                        retry_s = self._settings.first_retry_s
                except (ConfigurationError, FatalError):
                    raise
                except Exception as error:
                    logger.warning(
                        "%s goes back to what it has stored: %s", self.plugin.name, error, exc_info=error
                    )
                    self._stop.wait(retry_s)
                    retry_s = min(retry_s * 2, self._settings.longest_retry_s)
        finally:
            consumer.close()

    def _go_to(self, consumer: Consumer, stored: Positions) -> None:
        """Reads on where the sink has stored up to. Raises `ConfigurationError` if that is not in the log."""
        partitions = [place for topic in self._topics for place in all_partitions(self._host.bus, topic)]
        marks = consumer.watermarks(partitions, Deadline.after(_ASK_S), read_uncommitted=True)
        offsets: dict[Position, int] = {}
        for (topic, partition), (first, end) in marks.items():
            wanted = stored.get((topic.value, partition), first)
            if wanted > end:
                raise ConfigurationError(
                    f"{self.plugin.name} has stored {topic}/{partition} up to {wanted}, but it ends at {end}: the "
                    "topic was made again, so give the sink a new store"
                )
            if wanted < first:
                logger.error(
                    "%s was away for longer than %s/%d keeps records: %d offsets are lost to it",
                    *(self.plugin.name, topic, partition, first - wanted),
                )
            offsets[topic, partition] = max(first, wanted)
        consumer.assign(offsets)

    def _turn(self, consumer: Consumer, sink: Sink) -> None:
        first = consumer.poll(self._settings.poll_s)
        if first is None:
            return
        batch = (first, *consumer.drain(self._settings.batch - 1))
        sink.write(
            [delivery for received in batch if (delivery := self._delivery(received)) is not None],
            {(received.topic.value, received.partition): received.offset + 1 for received in batch},
        )

    def _delivery(self, received: Received) -> Delivery | None:
        kind = received.header(TYPE)
        if kind is not None and kind not in self._names:
            return None
        try:
            message = self._host.codec.decode(received)
        except ContractError as error:
            self._dead_letter(received, error)
            return None
        return Delivery(
            topic=received.topic.value,
            partition=received.partition,
            offset=received.offset,
            timestamp_ms=received.timestamp_ms,
            message=message,
        )

    def _dead_letter(self, received: Received, error: ContractError) -> None:
        """Writes its dead letter before the batch is stored, once for as long as this process lives."""
        place = (received.topic, received.partition)
        if self._dead_lettered.get(place, -1) < received.offset:
            self._host.dead_letter(received, failure_of(error, UNDECODABLE), self.plugin.name, DECODE)
            self._dead_lettered[place] = received.offset

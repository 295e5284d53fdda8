"""Runs a sink: reads all partitions of its topics, from the positions that the sink stores itself.

A sink runs in one copy: it reads everything, and its own transaction makes each message count once. A second
copy only repeats the work, and a sink that checks its positions while it writes drops the repetition.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError, SchemaUnresolved
from orchestrator.bus.headers import TYPE
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Consumer, Position, Reading, Received, Start
from orchestrator.bus.standalone import all_partitions
from orchestrator.delivery.caps import DECODE, DeadLetterCaps
from orchestrator.delivery.dead_letters import HANDLE, UNDECODABLE, unresolved
from orchestrator.errors import ConfigurationError, UnavailableError, unforeseen
from orchestrator.messages.base import Command, Event
from orchestrator.messages.catalogue import matching
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.types import Failure
from orchestrator.sdk.containment import as_exception
from orchestrator.sdk.failures import described, failure_of
from orchestrator.sdk.sinks import Delivery, Positions, Sink, SinkPlugin, require_sink
from orchestrator.worker.dispatch import HANDLER_FAILED
from orchestrator.worker.failure_streak import FailureStreak
from orchestrator.worker.host import Host
from orchestrator.worker.suspects import Suspects

logger: Final = logging.getLogger(__name__)

_WATERMARKS_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True)
class SinkSettings:
    """How a sink reads and retries; times in seconds."""

    batch: int = 500
    """Most records of one batch."""
    poll_timeout_s: float = 0.1
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 10.0


class SinkRunner:
    """One sink in a thread of its own. A batch that cannot be stored is retried indefinitely, with backoff; a record
    that cannot be, while the store can be reached, is dead-lettered."""

    def __init__(self, plugin: SinkPlugin, host: Host, settings: SinkSettings | None = None) -> None:
        """Raises `ConfigurationError` if no message matches the sink's pattern."""
        self.plugin = plugin
        self.failure: Exception | None = None
        """Why the sink failed."""
        self._host = host
        self._settings = settings or SinkSettings()
        entries = [entry for entry in matching(plugin.pattern) if issubclass(entry.message, Command | Event)]
        if not entries:
            raise ConfigurationError(f"sink {plugin.name}: no message matches {plugin.pattern}")
        self._names = frozenset(entry.name.encode() for entry in entries)
        self.topics = sorted({entry.topic for entry in entries})
        self._dead_lettered: dict[tuple[Position, str], int] = {}
        """The last dead-lettered offset of each partition and stage: each stage meets its records in order."""
        self._suspects = Suspects()
        self._streak = FailureStreak(self._settings.initial_backoff_s, self._settings.max_backoff_s)
        self._caps = DeadLetterCaps()
        self._slowed: dict[Position, float] = {}
        """Partitions whose dead letters exceed their cap: paused until then, by the monotonic clock."""
        self._stop = threading.Event()
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{plugin.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait_ready(self, deadline: Deadline) -> None:
        """Returns when the sink is reading. Raises its failure, or `UnavailableError` at the deadline."""
        while not self._reading.wait(0.05):
            if self.failure is not None:
                raise self.failure
            if deadline.passed:
                raise UnavailableError(
                    f"sink {self.plugin.name} did not start in time: its log says why, or Kafka is not reachable"
                )

    def stop(self, deadline: Deadline) -> None:
        """Lets the current batch be stored, until the deadline."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(deadline.remaining())

    def _run(self) -> None:
        try:
            # What it reads, and dead letters: later a registry that hangs changes nothing for what is known.
            self._host.codec.prepare([MessageDeadLettered])
            self._host.codec.expect(self.topics)
            sink = self.plugin.make()
            require_sink(sink, f"what sink {self.plugin.name} is made of")
            try:
                self._read_with(sink)
            finally:
                sink.close()
        except BaseException as error:
            logger.error("sink %s failed: %s", self.plugin.name, described(error), exc_info=unforeseen(error))
            self.failure = as_exception(error)

    def _read_with(self, sink: Sink) -> None:
        consumer = self._host.bus.consumer(Reading(f"sink-{self.plugin.name}", Start.ERROR))
        try:
            while not self._stop.is_set():
                try:
                    self._start_at(consumer, sink.positions())
                    self._reading.set()
                    while not self._stop.is_set():
                        self._run_once(consumer, sink)
                except (ConfigurationError, FatalError):
                    raise
                except BaseException as error:  # noqa: BLE001 - it is said, and everything is read again
                    self._stop.wait(self._failed(error))
        finally:
            consumer.close()

    def _failed(self, error: BaseException) -> float:
        """Says what failed, unless it was said a moment ago. Returns for how many seconds to wait."""
        backoff_s, to_say = self._streak.fail()
        if to_say:
            logger.warning(
                "sink %s returns to its stored positions%s: %s",
                self.plugin.name,
                f", {to_say} times since this was said last" if to_say > 1 else "",
                described(error),
                exc_info=unforeseen(error),
            )
        return backoff_s

    def _start_at(self, consumer: Consumer, stored: Positions) -> None:
        """Starts reading at the stored positions. Raises `ConfigurationError` for one beyond the end of its log."""
        partitions = [position for topic in self.topics for position in all_partitions(self._host.bus, topic)]
        watermarks = consumer.watermarks(
            partitions, Deadline.after(_WATERMARKS_TIMEOUT_S), read_uncommitted=True
        )
        offsets: dict[Position, int] = {}
        for (topic, partition), (first, end) in watermarks.items():
            wanted = stored.get((topic.value, partition), first)
            if wanted > end:
                raise ConfigurationError(
                    f"sink {self.plugin.name} has stored {topic}/{partition} up to offset {wanted}, but the log ends "
                    f"at {end}: the topic was recreated, so give the sink a new store"
                )
            if wanted < first:
                logger.error(
                    "sink %s was stopped for longer than the retention of %s/%d: it missed %d offsets",
                    *(self.plugin.name, topic, partition, first - wanted),
                )
            offsets[topic, partition] = max(first, wanted)
        consumer.assign(offsets)
        # The client may remember a pause from before.
        consumer.resume(self._slowed)
        self._slowed.clear()

    def _run_once(self, consumer: Consumer, sink: Sink) -> None:
        self._resume(consumer)
        limit = self._suspects.limit(self._settings.batch)
        batch = poll_many(consumer, limit, self._settings.poll_timeout_s)
        if not batch:
            return
        self._host.codec.ask(batch)
        before = set(self._slowed)
        self._store(sink, batch)
        consumer.pause([position for position in self._slowed if position not in before])

    def _store(self, sink: Sink, batch: Sequence[Received]) -> None:
        """Raises what the sink raises, unless that is about a single record: it is dead-lettered and left out."""
        deliveries = [one for received in batch if (one := self._delivery(received)) is not None]
        positions = {(one.topic.value, one.partition): one.offset + 1 for one in batch}
        try:
            sink.write(deliveries, positions)
        except BaseException as error:
            if not self._suspects.failed(batch, error):
                raise
            self._dead_letter(batch[0], failure_of(error, HANDLER_FAILED), HANDLE)
            sink.write([], positions)
        # Only now: a poll that brings nothing, as the first one after a return, says nothing about the store.
        if failures := self._streak.end():
            logger.info("sink %s stores again, after %d failures", self.plugin.name, failures)
        self._suspects.stored(batch)

    def _resume(self, consumer: Consumer) -> None:
        """Reads partitions again that were paused for long enough."""
        now = time.monotonic()
        for position in [position for position, until in self._slowed.items() if until <= now]:
            del self._slowed[position]
            consumer.resume([position])

    def _delivery(self, received: Received) -> Delivery | None:
        kind = received.header(TYPE)
        if kind is not None and kind not in self._names:
            return None
        try:
            message = self._host.codec.decode(received)
        except SchemaUnresolved as error:
            self._dead_letter(received, unresolved(error), DECODE)
            return None
        except Exception as error:  # noqa: BLE001 - no record may keep the sink at its position
            self._dead_letter(received, failure_of(error, UNDECODABLE), DECODE)
            return None
        return Delivery(
            topic=received.topic.value,
            partition=received.partition,
            offset=received.offset,
            timestamp_ms=received.timestamp_ms,
            message=message,
        )

    def _dead_letter(self, received: Received, failure: Failure, stage: str) -> None:
        """Dead-letters a record before its batch is stored, once during the life of this process."""
        position = (received.topic, received.partition)
        if self._dead_lettered.get((position, stage), -1) < received.offset:
            self._host.dead_letter(received, failure, self.plugin.name, stage)
            self._dead_lettered[position, stage] = received.offset
            seconds = self._caps.spend(position, stage)
            if seconds > 0:
                self._slowed[position] = time.monotonic() + seconds

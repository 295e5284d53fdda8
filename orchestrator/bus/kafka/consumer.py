"""`ports.Consumer` over confluent-kafka."""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import OffsetLost, OwnershipLost
from orchestrator.bus.kafka.call_thread import CallThread, CallTimeoutError
from orchestrator.bus.kafka.callbacks import Callbacks
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.membership import Membership
from orchestrator.bus.kafka.partitions import Partitions
from orchestrator.bus.kafka.unreadable import UNREADABLE, BatchEnds
from orchestrator.bus.kafka.watermarks import Watermarks
from orchestrator.bus.ports import (
    LATEST_MS,
    Assignor,
    Commit,
    GroupMetadata,
    OnAssign,
    OnRemoved,
    Position,
    Reading,
    Received,
)
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

# The client recovers from these on its own; reading resumes once it has.
_TRANSIENT: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)
_RETRY_S: Final = 0.05
_COMMIT_S: Final = 30.0
"""A commit may wait forever for a coordinator that was replaced at the wrong moment."""
_CLOSE_S: Final = 30.0
"""Longer than `on_revoke` may take."""
_END_OF_BATCH_S: Final = 20.0
"""How long the end of a batch that cannot be unpacked is looked for in one call; the next one tries again."""
_DRAINED_BYTES: Final = 16_000_000
"""Bytes of values after which a drain ends: the rest stays in the client, which bounds what it holds."""
_DRAINED_AT_ONCE: Final = 10
"""Records that the client copies before their sizes are known."""
_LARGEST_VALUE: Final = 2_000_000
"""No message of ours is half as large. What is packed well may be: it is not carried through the process."""
_OFFSET_LOST: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})

_headers_of: Final = methodcaller("headers")
"""For a name that is not UTF-8, the client returns a list with holes in it and leaves an exception behind, which a
plain call may not notice before the next one (confluent-kafka 2.16). This call does; the list must not be touched."""


class KafkaConsumer:
    """A consumer of one cluster. `config` has all settings of its client; `watermarks` are those of what is
    committed, and of everything that was written."""

    def __init__(
        self,
        reading: Reading,
        settings: BusSettings,
        watermarks: tuple[Watermarks, Watermarks],
        config: Mapping[str, Any],
    ) -> None:
        self._group = reading.group
        self._servers = settings.bootstrap_servers
        self._names = TopicNames(settings.topic_prefix)
        self._partitions = Partitions(self._names)
        self._cooperative = reading.assignor is Assignor.COOPERATIVE
        self._config = dict(config)
        self._client = Consumer(self._config)
        self._batch_ends = BatchEnds(self._config)
        self._committed, self._written = watermarks
        self._membership = Membership()
        self._calls = CallThread()
        self._callbacks = Callbacks()
        self._subscribe: Callable[[], None] | None = None
        self._assigned: dict[Position, OnRemoved] = {}
        """The partitions that the group has assigned to us, and what to call when they are lost."""
        self._ends: dict[Position, int] = {}
        self._removed: set[Position] = set()
        self._failure: BaseException | None = None
        self._closed = False

    def subscribe(
        self, topics: Iterable[Topic], on_assign: OnAssign, on_revoke: OnRemoved, on_lost: OnRemoved
    ) -> None:
        def assigned(client: Consumer, partitions: list[TopicPartition]) -> None:
            if client is not self._client:
                return
            positions = self._partitions.positions(partitions)
            self._removed.difference_update(positions)
            self._assigned.update(dict.fromkeys(positions, on_lost))
            starts = self._callbacks.run(lambda: on_assign(positions) or {})
            # Nothing is read of partitions that could not be taken over.
            offsets = {} if starts is None else {each: starts.get(each, OFFSET_INVALID) for each in positions}
            assign = client.incremental_assign if self._cooperative else client.assign
            assign(self._partitions.at(offsets))

        def removed(on_removed: OnRemoved) -> Callable[[Consumer, list[TopicPartition]], None]:
            def callback(client: Consumer, partitions: list[TopicPartition]) -> None:
                if client is self._client:
                    positions = self._partitions.positions(partitions)
                    self._forget(positions)
                    self._callbacks.run(lambda: on_removed(positions))

            return callback

        def subscribe() -> None:
            callbacks = {"on_assign": assigned, "on_revoke": removed(on_revoke), "on_lost": removed(on_lost)}
            self._client.subscribe(self._topics, **callbacks)

        self._topics = [self._names.full(topic) for topic in topics]
        self._subscribe = subscribe
        subscribe()

    def _rejoin(self, reason: str) -> None:
        """Joins with a new client. The old one is abandoned: closing it may never return."""
        logger.warning(
            "the consumer of group %s %s; abandoning it and joining with a new one", self._group, reason
        )
        self._calls.close()
        self._calls = CallThread()
        # Replaced first: a callback of the old client has to find that it is no longer ours.
        old, self._client = self._client, Consumer(self._config)
        threading.Thread(target=old.close, name="closing", daemon=True).start()
        self._membership = Membership()
        for position, on_lost in tuple(self._assigned.items()):
            self._forget([position])
            on_lost((position,))
        if self._subscribe is not None:
            self._subscribe()

    def assign(self, offsets: Mapping[Position, int]) -> None:
        self._ends.clear()
        self._client.assign(self._partitions.at(offsets))

    def poll(self, timeout_s: float) -> Received | None:
        self._raise_failure()
        try:
            message = self._client.poll(timeout_s)
        except SystemError as error:
            raise self._translated(error, "reading") from error
        self._callbacks.raise_error()
        received = None if message is None else self._received(message)
        if received is None:
            self._raise_failure()
            if self._subscribe is not None and self._membership.is_lost(self._client, self._topics[0]):
                self._rejoin("did not rejoin it after an outage")
        return received

    def drain(self, n: int) -> list[Received]:
        self._raise_failure()
        self._removed.clear()
        batch: list[Received] = []
        room = _DRAINED_BYTES
        while n > 0 and room > 0 and (messages := self._client.consume(min(n, _DRAINED_AT_ONCE), 0)):
            n -= len(messages)
            for message in messages:
                received = self._received(message)
                if received is not None:
                    batch.append(received)
                    room -= len(received.value or b"")
        self._callbacks.raise_error()
        if self._removed:
            batch = [each for each in batch if (each.topic, each.partition) not in self._removed]
        if not batch:
            self._raise_failure()
        return batch

    def commit(self, offsets: Mapping[Position, Commit]) -> None:
        if not offsets:
            return
        client, commits = self._client, self._partitions.commits(offsets)
        results: list[TopicPartition] = []

        def call() -> None:
            results.extend(client.commit(offsets=commits, asynchronous=False) or ())

        try:
            # Inside a callback the client belongs to this thread, so the call cannot be abandoned.
            call() if self._callbacks.running else self._calls.call(call, _COMMIT_S)
        except KafkaException as error:
            raise self._translated(error, "committing offsets") from error
        except CallTimeoutError as error:
            self._rejoin(f"did not return from a commit within {_COMMIT_S:.0f} s")
            raise UnavailableError(
                f"committing offsets failed: the client did not return within {_COMMIT_S:.0f} s"
            ) from error
        self._check(results, "committing offsets")

    def committed(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
        requested = self._partitions.without_offsets(positions)
        if not requested:
            return {}
        while True:
            try:
                results = self._committed_now(requested, deadline)
            except UnavailableError:
                # A coordinator that has moved, or is loading, says so at once.
                if deadline.passed:
                    raise
                time.sleep(_RETRY_S)
            else:
                return {
                    self._partitions.position(result): (result.offset, result.metadata or "")
                    for result in results
                    if result.offset >= 0
                }

    def _committed_now(self, requested: list[TopicPartition], deadline: Deadline) -> list[TopicPartition]:
        try:
            results = self._client.committed(requested, timeout=deadline.remaining())
        except KafkaException as error:
            raise self._translated(error, "reading committed offsets") from error
        self._check(results, "reading committed offsets")
        return results

    def position(self, positions: Iterable[Position]) -> dict[Position, int]:
        # The client's position is the last record's offset + 1; only the end-of-partition event, which is
        # enabled, shows that the markers of transactions behind it were read as well.
        requested = self._partitions.without_offsets(positions)
        reached = {self._partitions.position(each): each.offset for each in self._client.position(requested)}
        return {
            position: furthest
            for position, offset in reached.items()
            if (furthest := max(offset, self._ends.get(position, OFFSET_INVALID))) >= 0
        }

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        return (self._written if read_uncommitted else self._committed).of(positions, deadline)

    def seek(self, offsets: Mapping[Position, int]) -> None:
        for position, partition in zip(offsets, self._partitions.at(offsets), strict=True):
            self._ends.pop(position, None)
            try:
                self._client.seek(partition)
            except KafkaException as error:
                doing = f"seeking to offset {partition.offset} of {partition.topic} [{partition.partition}]"
                raise self._translated(error, doing) from error

    def group_metadata(self) -> GroupMetadata:
        if not self._client.memberid():
            raise OwnershipLost(f"this consumer is not a member of its group {self._group}")
        return GroupMetadata(self._client.consumer_group_metadata())

    def pause(self, positions: Iterable[Position]) -> None:
        self._client.pause(self._partitions.without_offsets(positions))

    def resume(self, positions: Iterable[Position]) -> None:
        self._client.resume(self._partitions.without_offsets(positions))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._batch_ends.close()
            closing = CallThread()
            self._calls.close()
            try:
                closing.call(self._client.close, _CLOSE_S)
            except CallTimeoutError:
                logger.warning(
                    "the consumer of group %s did not close within %.0f s; abandoning it",
                    self._group,
                    _CLOSE_S,
                )
            finally:
                closing.close()
            self._callbacks.raise_error()
            self._raise_failure()

    def _received(self, message: Any) -> Received | None:
        # Any: the stubs have optional places of records, which only errors lack.
        error = message.error()
        if error is not None:
            if error.code() in UNREADABLE and message.topic() is not None and message.offset() >= 0:
                return self._unreadable(message, error)
            self._failed(message, error)
            return None
        headers: tuple[tuple[str, bytes | None], ...] = ()
        damage = ""
        try:
            headers = tuple(_headers_of(message) or ())
        except (UnicodeDecodeError, SystemError):
            damage = "a header's name is not UTF-8, so its headers cannot be read"
        value = message.value()
        if value is not None and len(value) > _LARGEST_VALUE:
            damage = f"its value has {len(value):,} bytes unpacked, of at most {_LARGEST_VALUE:,}"
            value = b""
        return Received(
            self._names.topic(message.topic()),
            message.partition(),
            message.offset(),
            min(max(message.timestamp()[1], 0), LATEST_MS),
            message.key(),
            value,
            headers,
            damage,
        )

    def _unreadable(self, message: Any, error: KafkaError) -> Received | None:
        """A batch that cannot be unpacked, as one damaged record in its last place. Reading goes on behind it."""
        topic, partition, first = message.topic(), message.partition(), message.offset()
        try:
            end = self._batch_ends.end_of(topic, partition, first, Deadline.after(_END_OF_BATCH_S))
        except OrchestratorError as failure:
            # It will be reported again.
            logger.warning(
                "cannot skip the batch at offset %d of %s [%d]: %s", first, topic, partition, failure
            )
            return None
        position = self._names.topic(topic), partition
        self.seek({position: end})
        damage = f"the records from offset {first} to {end - 1} cannot be unpacked: {error.str()}"
        return Received(*position, end - 1, 0, None, b"", (), damage)

    def _failed(self, message: Any, error: KafkaError) -> None:
        """Keeps an error for the end of the call, or for the next one, so that no record of a batch is lost."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._ends[self._names.topic(message.topic()), message.partition()] = message.offset()
        elif code in _OFFSET_LOST and message.topic() is not None:
            topic, partition = self._names.topic(message.topic()), message.partition()
            self._failure = OffsetLost(
                f"{message.topic()} [{partition}] cannot be read from offset {message.offset()}: {error.str()}",
                topic,
                partition,
            )
        elif code == KafkaError.INCONSISTENT_GROUP_PROTOCOL:
            logger.error(
                "the group %s has a member with another assignor, which is none of ours: this consumer joins when it "
                "has left (%s)",
                self._group,
                error.str(),
            )
        elif code in _TRANSIENT and not error.fatal():
            logger.warning(
                "reading interrupted, the client is retrying: %s",
                error.str(),
                extra={"kafka_error": error.name()},
            )
        else:
            self._failure = translated(error, "reading", self._servers)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                # The error refers to this frame, which would refer to the error.
                del failure

    def _forget(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self._removed.add(position)
            self._assigned.pop(position, None)
            self._ends.pop(position, None)

    def _check(self, results: Iterable[TopicPartition], doing: str) -> None:
        for result in results:
            if result.error is not None:
                raise translated(result.error, f"{doing} of {result.topic}", self._servers)

    def _translated(self, error: KafkaException | SystemError, doing: str) -> OrchestratorError:
        return translated(error_of(error), doing, self._servers)

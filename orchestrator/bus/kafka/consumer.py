"""`ports.Consumer` over confluent-kafka."""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import OffsetLost, OwnershipLost
from orchestrator.bus.kafka.aside import Aside, Stuck
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.membership import Membership
from orchestrator.bus.kafka.reading import commits, consumer_config
from orchestrator.bus.kafka.watermarks import Watermarks
from orchestrator.bus.ports import (
    Assignor,
    Commit,
    GroupMetadata,
    OnAssign,
    OnGone,
    Position,
    Reading,
    Received,
)
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topics import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

# What the client mends by itself; reading goes on when it has.
_PASSING: Final = frozenset(
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
_AGAIN_S: Final = 0.05
_COMMIT_S: Final = 30.0
"""A commit waits without end for a coordinator that was replaced at the wrong moment."""
_CLOSE_S: Final = 30.0
"""Longer than giving partitions up may take."""
_OFFSET_GONE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class KafkaConsumer:
    """A consumer of one cluster. `config` completes what a consumer is set to; `watermarks` are those of what
    is committed, and of everything that was written."""

    def __init__(
        self,
        reading: Reading,
        settings: BusSettings,
        watermarks: tuple[Watermarks, Watermarks],
        config: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self._servers = settings.bootstrap_servers
        self._names = TopicNames(settings.topic_prefix)
        self._cooperative = reading.assignor is Assignor.COOPERATIVE
        self._config = dict(config(consumer_config(reading)))
        self._client = Consumer(self._config)
        self._committed, self._written = watermarks
        self._membership = Membership()
        self._aside = Aside()
        self._calls_back = False
        self._subscribe: Callable[[], None] | None = None
        self._held: dict[Position, OnGone] = {}
        """What the group has given us, and who is told when it is lost."""
        self._ends: dict[Position, int] = {}
        self._gone: set[Position] = set()
        self._failure: BaseException | None = None
        self._closed = False

    def subscribe(
        self, topics: Iterable[Topic], on_assign: OnAssign, on_revoke: OnGone, on_lost: OnGone
    ) -> None:
        def assigned(client: Consumer, partitions: list[TopicPartition]) -> None:
            if client is not self._client:
                return
            positions = self._positions(partitions)
            self._gone.difference_update(positions)
            self._held.update(dict.fromkeys(positions, on_lost))
            with self._calling_back():
                starts = on_assign(positions) or {}
            given = self._partitions(
                {position: starts.get(position, OFFSET_INVALID) for position in positions}
            )
            (client.incremental_assign if self._cooperative else client.assign)(given)

        def gone(tell: OnGone) -> Callable[[Consumer, list[TopicPartition]], None]:
            def given_up(client: Consumer, partitions: list[TopicPartition]) -> None:
                if client is self._client:
                    positions = self._positions(partitions)
                    self._forget(positions)
                    with self._calling_back():
                        tell(positions)

            return given_up

        def subscribe() -> None:
            told = {"on_assign": assigned, "on_revoke": gone(on_revoke), "on_lost": gone(on_lost)}
            self._client.subscribe(self._topics, **told)

        self._topics = [self._names.full(topic) for topic in topics]
        self._subscribe = subscribe
        subscribe()

    def _join_anew(self) -> None:
        """With a new client; the old one, which may never end, is left to itself."""
        logger.warning("a client has lost its way in its group: it is left behind, and a new one joins")
        self._aside.close()
        self._aside = Aside()
        # Replaced first: a callback of the old one has to find that it is not ours any more.
        old, self._client = self._client, Consumer(self._config)
        threading.Thread(target=old.close, name="closing", daemon=True).start()
        self._membership = Membership()
        for position, on_lost in tuple(self._held.items()):
            self._forget([position])
            on_lost((position,))
        if self._subscribe is not None:
            self._subscribe()

    def assign(self, offsets: Mapping[Position, int]) -> None:
        self._ends.clear()
        self._client.assign(self._partitions(offsets))

    def poll(self, timeout_s: float) -> Received | None:
        self._raise_failure()
        message = self._client.poll(timeout_s)
        received = None if message is None else self._received(message)
        if received is None:
            self._raise_failure()
            if self._subscribe is not None and self._membership.is_lost(self._client, self._topics[0]):
                self._join_anew()
        return received

    def drain(self, n: int) -> list[Received]:
        self._raise_failure()
        self._gone.clear()
        messages = self._client.consume(n, 0) if n > 0 else []
        batch = [received for message in messages if (received := self._received(message)) is not None]
        if self._gone:
            batch = [each for each in batch if (each.topic, each.partition) not in self._gone]
        if not batch:
            self._raise_failure()
        return batch

    def commit(self, offsets: Mapping[Position, Commit]) -> None:
        if not offsets:
            return
        client, wanted = self._client, commits(self._names, offsets)
        answers: list[TopicPartition] = []

        def call() -> None:
            answers.extend(client.commit(offsets=wanted, asynchronous=False) or ())

        try:
            # In a callback the client belongs to this thread; else it is left behind if it does not come back.
            call() if self._calls_back else self._aside.call(call, _COMMIT_S)
        except KafkaException as error:
            raise self._translated(error, "committing offsets") from error
        except Stuck as error:
            self._join_anew()
            raise UnavailableError("committing offsets failed: the client does not come back") from error
        self._check(answers, "committing offsets")

    def committed(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
        asked = self._partitions(dict.fromkeys(positions, OFFSET_INVALID))
        if not asked:
            return {}
        while True:
            try:
                answers = self._committed_now(asked, deadline)
            except UnavailableError:
                # A coordinator that has moved, or is loading, says so at once.
                if deadline.passed:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return {
                    self._position(answer): (answer.offset, answer.metadata or "")
                    for answer in answers
                    if answer.offset >= 0
                }

    def _committed_now(self, asked: list[TopicPartition], deadline: Deadline) -> list[TopicPartition]:
        try:
            answers = self._client.committed(asked, timeout=deadline.remaining())
        except KafkaException as error:
            raise self._translated(error, "reading committed offsets") from error
        self._check(answers, "reading committed offsets")
        return answers

    def position(self, positions: Iterable[Position]) -> dict[Position, int]:
        # The client's position is the last record's offset + 1; only the end-of-partition event, which is
        # asked for, tells that markers of transactions behind it were read as well.
        asked = self._partitions(dict.fromkeys(positions, OFFSET_INVALID))
        reached = {self._position(each): each.offset for each in self._client.position(asked)}
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
        for position, partition in zip(offsets, self._partitions(offsets), strict=True):
            self._ends.pop(position, None)
            try:
                self._client.seek(partition)
            except KafkaException as error:
                raise self._translated(error, f"going to an offset of {partition.topic}") from error

    def group_metadata(self) -> GroupMetadata:
        if not self._client.memberid():
            raise OwnershipLost("this consumer is in no group now")
        return GroupMetadata(self._client.consumer_group_metadata())

    def pause(self, positions: Iterable[Position]) -> None:
        self._client.pause(self._partitions(dict.fromkeys(positions, OFFSET_INVALID)))

    def resume(self, positions: Iterable[Position]) -> None:
        self._client.resume(self._partitions(dict.fromkeys(positions, OFFSET_INVALID)))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            closing = Aside()
            self._aside.close()
            try:
                closing.call(self._client.close, _CLOSE_S)
            except Stuck:
                logger.warning("a consumer has not closed in %.0f s and is left behind", _CLOSE_S)
            finally:
                closing.close()
            self._raise_failure()

    @contextmanager
    def _calling_back(self) -> Iterator[None]:
        self._calls_back = True
        try:
            yield
        finally:
            self._calls_back = False

    def _received(self, message: Any) -> Received | None:
        # Any: the stubs have optional places of records, which only errors lack.
        error = message.error()
        if error is not None:
            self._failed(message, error)
            return None
        return Received(
            self._names.topic(message.topic()),
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple(message.headers() or ()),
        )

    def _failed(self, message: Any, error: KafkaError) -> None:
        """Keeps an error for the end of the call, or for the next one, so that no record of a batch is lost."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._ends[self._names.topic(message.topic()), message.partition()] = message.offset()
        elif code in _OFFSET_GONE and message.topic() is not None:
            topic, partition = self._names.topic(message.topic()), message.partition()
            self._failure = OffsetLost(
                f"{message.topic()} [{partition}] cannot be read from offset {message.offset()}: {error.str()}",
                topic,
                partition,
            )
        elif code in _PASSING and not error.fatal():
            logger.warning("reading is held up: %s", error.str(), extra={"kafka_error": error.name()})
        else:
            self._failure = translated(error, "reading", self._servers)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _forget(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self._gone.add(position)
            self._held.pop(position, None)
            self._ends.pop(position, None)

    def _positions(self, partitions: Iterable[TopicPartition]) -> tuple[Position, ...]:
        return tuple(map(self._position, partitions))

    def _position(self, partition: TopicPartition) -> Position:
        return self._names.topic(partition.topic), partition.partition

    def _partitions(self, offsets: Mapping[Position, int]) -> list[TopicPartition]:
        return [
            TopicPartition(self._names.full(topic), partition, offset)
            for (topic, partition), offset in offsets.items()
        ]

    def _check(self, answers: Iterable[TopicPartition], doing: str) -> None:
        for answer in answers:
            if answer.error is not None:
                raise translated(answer.error, f"{doing} of {answer.topic}", self._servers)

    def _translated(self, error: KafkaException, doing: str) -> OrchestratorError:
        return translated(error_of(error), doing, self._servers)

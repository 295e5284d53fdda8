"""Where the logs of partitions begin and end.

Read with a blocking call. `AdminClient.list_offsets` would not block, but it hands its request to the client's
thread before it is done with it (librdkafka 2.16, `rd_kafka_topic_partition_list_query_leaders_async`): if the
timeout passes at once, or metadata arrives meanwhile, the process dies of corrupted memory. Dying brokers cause
both.
"""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.ports import Position
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError

_DOING: Final = "reading watermarks"
_TRY_S: Final = 2.0
"""A dead leader never responds, and its successor may be elected already."""
_RETRY_S: Final = 0.05
_FIRST_AND_END: Final = (OFFSET_BEGINNING, OFFSET_END)


class Watermarks:
    """Reads through one client of its own, made by `make` when it is first needed: a broker answers the requests
    of a connection in order, and behind a fetch that waits for records a response takes half a second. Any thread
    may call; they wait for each other, which takes a millisecond on a quiet machine.
    """

    def __init__(self, make: Callable[[], Consumer], names: TopicNames, servers: str) -> None:
        self._make = make
        self._names = names
        self._servers = servers
        self._lock = Lock()

    def of(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, tuple[int, int]]:
        """The first available offset and the one behind the last. Waits for partitions without a leader. Raises
        `UnavailableError` at the deadline, and `ConfigurationError` for a partition that does not exist."""
        places = {(self._names.full(topic), number): (topic, number) for topic, number in positions}
        while places:
            try:
                firsts, ends = (self._offsets(places, at, deadline) for at in _FIRST_AND_END)
            except UnavailableError:
                if deadline.passed:
                    raise
            else:
                return {position: (firsts[place], ends[place]) for place, position in places.items()}
            # Outside the clause: an error of the client would hold on to the one that is handled.
            self._refresh_leaders(places, deadline)
            time.sleep(_RETRY_S)
        return {}

    @cached_property
    def _client(self) -> Consumer:
        return self._make()

    @contextmanager
    def _turn(self, deadline: Deadline) -> Iterator[Consumer]:
        """The client, for one call. Its pending callbacks run first: nothing else polls it."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise UnavailableError(
                f"{_DOING} failed: earlier calls to the cluster at {self._servers} are still waiting"
            )
        try:
            self._client.poll(0)
            yield self._client
        except KafkaException as error:
            raise self._failure(error_of(error)) from error
        finally:
            self._lock.release()

    def _offsets(
        self, places: Iterable[tuple[str, int]], at: int, deadline: Deadline
    ) -> dict[tuple[str, int], int]:
        requested = [TopicPartition(topic, number, at) for topic, number in places]
        with self._turn(deadline) as client:
            found = client.offsets_for_times(requested, timeout=_timeout(deadline))
        for each in found:
            if each.error is not None:
                raise self._failure(each.error)
        return {(each.topic, each.partition): each.offset for each in found}

    def _refresh_leaders(self, places: Iterable[tuple[str, int]], deadline: Deadline) -> None:
        """Refreshes the client's metadata of leaders, which it does not do on its own for a topic that it
        knows."""
        for topic in {topic for topic, _ in places}:
            try:
                with self._turn(deadline) as client:
                    found = client.list_topics(topic, timeout=_timeout(deadline)).topics[topic]
            except UnavailableError:
                return
            if found.error is not None:
                self._raise_unless_transient(found.error)
                return
            if any(number not in found.partitions for name, number in places if name == topic):
                raise translated(KafkaError(KafkaError._UNKNOWN_PARTITION), _DOING, self._servers)

    def _raise_unless_transient(self, error: KafkaError) -> None:
        failure = translated(error, _DOING, self._servers)
        if not isinstance(failure, UnavailableError):
            raise failure

    def _failure(self, error: KafkaError) -> OrchestratorError:
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            # The client says so, too, when none of the requested partitions has a leader.
            return UnavailableError(f"{_DOING} failed: the partitions have no leader at {self._servers}")
        return translated(error, _DOING, self._servers)


def _timeout(deadline: Deadline) -> float:
    return min(_TRY_S, deadline.remaining())

"""Where the logs of partitions begin and end.

Asked with a call that waits. `AdminClient.list_offsets` would need no thread, but it hands its request to the
client's thread before it has finished with it (librdkafka 2.16,
`rd_kafka_topic_partition_list_query_leaders_async`): a time-out that passes at once, or metadata that arrives
meanwhile, and the process dies of corrupted memory. Brokers that die bring about both.
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

_DOING: Final = "asking for watermarks"
_TRY_S: Final = 2.0
"""A leader that has died never answers, and the next one may be there already."""
_AGAIN_S: Final = 0.05
_FIRST_AND_END: Final = (OFFSET_BEGINNING, OFFSET_END)


class Watermarks:
    """Asks through one client of its own, made by `make` when it is first needed: a broker answers a connection
    in order, and behind a fetch that waits for records an answer takes half a second. Any thread may call;
    they wait for each other, which on a quiet machine takes a millisecond.
    """

    def __init__(self, make: Callable[[], Consumer], names: TopicNames, servers: str) -> None:
        self._make = make
        self._names = names
        self._servers = servers
        self._lock = Lock()

    def of(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, tuple[int, int]]:
        """The first offset that is there and the one behind the last. A partition without a leader is waited
        for. Raises `UnavailableError`, and `ConfigurationError` for a partition that is not there."""
        places = {(self._names.full(topic), number): (topic, number) for topic, number in positions}
        while places:
            try:
                firsts, ends = (self._offsets(places, at, deadline) for at in _FIRST_AND_END)
            except UnavailableError:
                if deadline.passed:
                    raise
                self._look_for_leaders(places, deadline)
                time.sleep(_AGAIN_S)
            else:
                return {position: (firsts[place], ends[place]) for place, position in places.items()}
        return {}

    @cached_property
    def _client(self) -> Consumer:
        return self._make()

    @contextmanager
    def _turn(self, deadline: Deadline) -> Iterator[Consumer]:
        """The client, for one call. What it has to tell is told first: nobody else polls it."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise UnavailableError(f"{_DOING} failed: the cluster at {self._servers} does not answer others")
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
        asked = [TopicPartition(topic, number, at) for topic, number in places]
        with self._turn(deadline) as client:
            answers = client.offsets_for_times(asked, timeout=_a_while(deadline))
        for answer in answers:
            if answer.error is not None:
                raise self._failure(answer.error)
        return {(answer.topic, answer.partition): answer.offset for answer in answers}

    def _look_for_leaders(self, places: Iterable[tuple[str, int]], deadline: Deadline) -> None:
        """Brings what the client knows of leaders up to date, which it does not do by itself while it knows of
        a topic."""
        for topic in {topic for topic, _ in places}:
            try:
                with self._turn(deadline) as client:
                    found = client.list_topics(topic, timeout=_a_while(deadline)).topics[topic]
            except UnavailableError:
                return
            if found.error is not None:
                self._raise_unless_passing(found.error)
                return
            if any(number not in found.partitions for name, number in places if name == topic):
                raise translated(KafkaError(KafkaError._UNKNOWN_PARTITION), _DOING, self._servers)

    def _raise_unless_passing(self, error: KafkaError) -> None:
        failure = translated(error, _DOING, self._servers)
        if not isinstance(failure, UnavailableError):
            raise failure

    def _failure(self, error: KafkaError) -> OrchestratorError:
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            # So says the client too where no partition of those asked for has a leader.
            return UnavailableError(f"{_DOING} failed: no partition has a leader at {self._servers}")
        return translated(error, _DOING, self._servers)


def _a_while(deadline: Deadline) -> float:
    return min(_TRY_S, deadline.remaining())

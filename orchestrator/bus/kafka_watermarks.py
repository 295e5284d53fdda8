"""Where the logs of partitions begin and end.

Asked of a consumer's own client with a call that waits. `AdminClient.list_offsets` would ask for many at once,
but it hands its request to the client's thread before it has finished with it (librdkafka 2.16,
`rd_kafka_topic_partition_list_query_leaders_async`): a time-out that passes at once, or metadata that arrives
meanwhile, and the process dies of corrupted memory. Brokers that die bring about both.
"""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka_errors import error_of, translated
from orchestrator.bus.ports import Position
from orchestrator.bus.topics import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError

_DOING: Final = "asking for watermarks"
_TRY_S: Final = 2.0
"""A leader that has died never answers, and the next one may be there already."""
_AGAIN_S: Final = 0.05
_FIRST_AND_END: Final = (OFFSET_BEGINNING, OFFSET_END)


class Watermarks:
    """Asks through `client`, which sees what is committed. `uncommitted` makes the client that sees all; it is
    made when it is first needed. Used by one thread."""

    def __init__(
        self, client: Consumer, uncommitted: Callable[[], Consumer], names: TopicNames, servers: str
    ) -> None:
        self._client = client
        self._make_uncommitted = uncommitted
        self._names = names
        self._servers = servers

    def of(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool
    ) -> dict[Position, tuple[int, int]]:
        """As `ports.Consumer.watermarks` does. A partition without a leader is waited for."""
        places = {(self._names.full(topic), number): (topic, number) for topic, number in positions}
        if not places:
            return {}
        client = self._uncommitted if read_uncommitted else self._client
        while True:
            try:
                firsts, ends = (self._offsets(client, places, at, deadline) for at in _FIRST_AND_END)
            except UnavailableError:
                if deadline.passed:
                    raise
                self._look_for_leaders(client, places, deadline)
                time.sleep(_AGAIN_S)
            else:
                return {position: (firsts[place], ends[place]) for place, position in places.items()}

    def close(self) -> None:
        if "_uncommitted" in self.__dict__:
            self._uncommitted.close()

    @cached_property
    def _uncommitted(self) -> Consumer:
        return self._make_uncommitted()

    def _offsets(
        self, client: Consumer, places: Iterable[tuple[str, int]], at: int, deadline: Deadline
    ) -> dict[tuple[str, int], int]:
        asked = [TopicPartition(topic, number, at) for topic, number in places]
        try:
            answers = client.offsets_for_times(asked, timeout=_a_while(deadline))
        except KafkaException as error:
            raise self._failure(error_of(error)) from error
        for answer in answers:
            if answer.error is not None:
                raise self._failure(answer.error)
        return {(answer.topic, answer.partition): answer.offset for answer in answers}

    def _look_for_leaders(
        self, client: Consumer, places: Iterable[tuple[str, int]], deadline: Deadline
    ) -> None:
        """Brings what the client knows of leaders up to date, which it does not do by itself while it knows of
        a topic. Raises `ConfigurationError` for a partition that is not there."""
        for topic in {topic for topic, _ in places}:
            try:
                found = client.list_topics(topic, timeout=_a_while(deadline)).topics[topic]
            except KafkaException as error:
                self._raise_unless_passing(error_of(error))
                return
            if found.error is not None:
                self._raise_unless_passing(found.error)
                return
            missing = [each for name, each in places if name == topic and each not in found.partitions]
            if missing:
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

"""Faults of librdkafka's mock broker: errors for any request, slow responses, lost leaders."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from orchestrator.local import EmbeddedCluster
from orchestrator.local.embedded import _library

BROKER = 1
NO_BROKER = -1


class Request(IntEnum):
    """Request types, by their API keys in Kafka's protocol."""

    PRODUCE = 0
    LIST_OFFSETS = 2
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class MockBroker:
    """Controls the broker of an embedded cluster through its `rd_kafka_mock_*` functions."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._library = ctypes.CDLL(_library()._name)
        self._cluster = ctypes.c_void_p(cluster._cluster)

    def answer(self, request: Request, *errors: int) -> None:
        """The next requests of this type get these errors, from any client."""
        array = (ctypes.c_int * len(errors))(*errors)
        count = ctypes.c_size_t(len(errors))
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, int(request), count, array)

    def answer_once(self, request: Request, error: int) -> Callable[[], bool]:
        """The next request of this type gets this error. Returns a function that reports whether it has."""
        pair = ctypes.c_int(error), ctypes.c_int(0)
        code = self._library.rd_kafka_mock_broker_push_request_error_rtts(
            self._cluster, BROKER, int(request), ctypes.c_size_t(1), *pair
        )
        assert code == 0, f"no error for {request.name} could be set: {code}"

        def given() -> bool:
            left = ctypes.c_size_t()
            self._library.rd_kafka_mock_broker_error_stack_cnt(
                self._cluster, BROKER, int(request), ctypes.byref(left)
            )
            return left.value == 0

        return given

    def forget_answers(self) -> None:
        for request in Request:
            self._library.rd_kafka_mock_clear_request_errors(self._cluster, int(request))

    @contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """Every response takes that long."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, BROKER, milliseconds)
        try:
            yield
        finally:
            self._library.rd_kafka_mock_broker_set_rtt(self._cluster, BROKER, 0)

    def lead(self, topic: str, partition: int, broker: int = BROKER) -> None:
        """Makes the broker lead a partition; `NO_BROKER` leaves it without a leader."""
        code = self._library.rd_kafka_mock_partition_set_leader(
            self._cluster, topic.encode(), partition, broker
        )
        assert code == 0, f"the leader of {topic} [{partition}] could not be set: {code}"

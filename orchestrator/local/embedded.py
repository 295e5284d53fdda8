"""librdkafka's built-in broker, for the demo and for fast tests.

It stores nothing, does not isolate aborted transactions and does not keep offsets sent in a transaction: it proves
nothing about durability.
"""

import ctypes
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ctypes import c_char_p, c_int, c_int32, c_size_t, c_void_p
from functools import cache
from typing import Any, ClassVar

from confluent_kafka import KafkaError, cimpl

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError, OrchestratorError
from orchestrator.local.server import LocalServer

_PRODUCER = 0
_ERROR_TEXT_BYTES = 512

_REBALANCE_DELAY_MS = 100
_CONNECT_S = 0.01

# Argument and result types as declared in rdkafka.h and rdkafka_mock.h.
_SIGNATURES: dict[str, tuple[list[Any], Any]] = {
    "rd_kafka_conf_new": ([], c_void_p),
    "rd_kafka_conf_set": ([c_void_p, c_char_p, c_char_p, c_char_p, c_size_t], c_int),
    "rd_kafka_new": ([c_int, c_void_p, c_char_p, c_size_t], c_void_p),
    "rd_kafka_destroy": ([c_void_p], None),
    "rd_kafka_mock_cluster_new": ([c_void_p, c_int], c_void_p),
    "rd_kafka_mock_cluster_destroy": ([c_void_p], None),
    "rd_kafka_mock_cluster_bootstraps": ([c_void_p], c_char_p),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": ([c_void_p, c_int32], None),
    "rd_kafka_mock_topic_create": ([c_void_p, c_char_p, c_int, c_int], c_int),
}


class EmbeddedCluster(LocalServer):
    """One broker on a free port of 127.0.0.1, inside this process; any process of the machine may connect.

    `topics` gives the number of partitions of each topic. They are created here because the broker refuses
    `create_topics`, and creates an unknown topic with 4 partitions when a client first requests it.

    Starting it while it runs does nothing. `start` raises `ConfigurationError` if librdkafka lacks the broker, and
    `OrchestratorError` if it fails.
    """

    NAME: ClassVar = "the embedded cluster"

    def __init__(self, topics: Mapping[str, int]) -> None:
        wrong = [
            f"topic {name!r} cannot have {count} partitions" for name, count in topics.items() if count < 1
        ]
        if wrong:
            raise ConfigurationError(*wrong)
        self._topics = dict(topics)
        self._client: int | None = None
        self._cluster: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        if self._cluster is None:
            raise self._not_running()
        address: bytes = _library().rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def prepare(self) -> None:
        """Nothing to fetch: the broker is part of the client library."""

    def _launch(self, _deadline: Deadline) -> None:
        if self._cluster is not None:
            return
        library = _library()
        error = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        settings = library.rd_kafka_conf_new()
        # The broker lives in a client instance. Nothing is ever sent through this one, and its warning that it
        # has no servers to connect to would be misleading.
        library.rd_kafka_conf_set(settings, b"log_level", b"0", error, len(error))
        self._client = library.rd_kafka_new(_PRODUCER, settings, error, len(error))
        if not self._client:
            raise OrchestratorError(
                f"librdkafka cannot create a client for the embedded cluster: {error.value.decode()}"
            )
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise OrchestratorError("librdkafka cannot start its embedded cluster: is a port free?")
        with _kept_awake(self.bootstrap_servers):
            # By default a group's first members wait 3 s for others to join; here all join at once.
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _REBALANCE_DELAY_MS)
            self._create_topics(library)

    def _await_ready(self, _deadline: Deadline) -> None:
        """Nothing to wait for: it serves at once."""

    def _stop(self, _deadline: Deadline) -> None:
        address = self.bootstrap_servers if self._cluster else ""
        # Cleared first: a failure below must not leave a pointer that would be freed twice.
        cluster, self._cluster = self._cluster, None
        client, self._client = self._client, None
        if cluster:
            with _kept_awake(address):
                _library().rd_kafka_mock_cluster_destroy(cluster)
        if client:
            _library().rd_kafka_destroy(client)

    def _create_topics(self, library: ctypes.CDLL) -> None:
        for name, partitions in self._topics.items():
            code = library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
            if code:
                raise OrchestratorError(
                    f"the embedded cluster refused topic {name!r}: {KafkaError(code).str()}"
                )


@contextmanager
def _kept_awake(address: str) -> Iterator[None]:
    """Connects to the broker again and again while it is called.

    The broker's thread can miss a call, and then sleeps on for a second (seen in librdkafka 2.16); a connection
    wakes it.
    """
    host, _, port = address.partition(",")[0].rpartition(":")
    done = threading.Event()

    def connect() -> None:
        while not done.wait(_CONNECT_S):
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                pass

    connecting = threading.Thread(target=connect, daemon=True)
    connecting.start()
    try:
        yield
    finally:
        done.set()
        connecting.join()


@cache
def _library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka uses, wherever its wheel or a package manager installed it.

    It is found through the extension module: the loader searches a library's dependencies, on Linux and on macOS,
    so no file name or folder has to be guessed and no second copy is loaded.
    """
    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (arguments, result) in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError) as error:
        raise ConfigurationError(
            f"this confluent-kafka has no embedded broker ({error}): install its wheel for Linux or macOS, or use a "
            "real Kafka"
        ) from error
    return library

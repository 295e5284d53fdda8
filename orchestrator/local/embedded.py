"""librdkafka's built-in broker, for a first look and for fast tests.

It keeps nothing, does not isolate aborted transactions and does not keep offsets sent in a transaction:
nothing about durability may be claimed from it.
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
_KNOCK_S = 0.01

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

    `topics` gives the number of partitions of each topic. They are made here because the broker refuses
    `create_topics`, and makes a topic it does not know with 4 partitions when somebody first asks for it.

    Starting it while it runs does nothing. `start` raises `ConfigurationError` where librdkafka lacks the broker,
    and `OrchestratorError` where it refuses.
    """

    NAME: ClassVar = "the embedded cluster"

    def __init__(self, topics: Mapping[str, int]) -> None:
        wrong = [
            f"Topic {name!r} cannot have {count} partitions." for name, count in topics.items() if count < 1
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
        """Nothing: the broker is in the client library."""

    def _launch(self, _deadline: Deadline) -> None:
        if self._cluster is not None:
            return
        library = _library()
        error = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        settings = library.rd_kafka_conf_new()
        # A client instance must exist for the broker to live in; nothing is ever sent through this one, and
        # its warning that it has no servers to connect to would only alarm.
        library.rd_kafka_conf_set(settings, b"log_level", b"0", error, len(error))
        self._client = library.rd_kafka_new(_PRODUCER, settings, error, len(error))
        if not self._client:
            raise OrchestratorError(
                f"librdkafka made no client for the embedded cluster: {error.value.decode()}"
            )
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise OrchestratorError("librdkafka could not open its embedded cluster: is there a free port?")
        with _kept_awake(self.bootstrap_servers):
            # By default a group's first members wait 3 s for company; here they all come at once.
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _REBALANCE_DELAY_MS)
            self._create_topics(library)

    def _await_ready(self, _deadline: Deadline) -> None:
        """Nothing: it serves once it is open."""

    def _stop(self, _deadline: Deadline) -> None:
        address = self.bootstrap_servers if self._cluster else ""
        # Locals first: a failure below must not leave a pointer that would be freed twice.
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
                    f"The embedded cluster refused topic {name!r}: {KafkaError(code).str()}."
                )


@contextmanager
def _kept_awake(address: str) -> Iterator[None]:
    """Knocks at the broker's door while it is being asked to do things.

    The broker's thread can miss that it was asked, and then sleeps on for a second (seen in librdkafka 2.16);
    a connection wakes it.
    """
    host, _, port = address.partition(",")[0].rpartition(":")
    done = threading.Event()

    def knock() -> None:
        while not done.wait(_KNOCK_S):
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                pass

    knocking = threading.Thread(target=knock, daemon=True)
    knocking.start()
    try:
        yield
    finally:
        done.set()
        knocking.join()


@cache
def _library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka itself uses, wherever its wheel or a package manager put it.

    Looked up through the extension module: the loader searches a library's own dependencies, on Linux and
    on macOS, so neither a file name nor a folder needs to be guessed and no second copy is loaded.
    """
    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (arguments, result) in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError) as error:
        raise ConfigurationError(
            f"This confluent-kafka has no embedded broker that can be reached ({error}). "
            "Install its wheel for Linux or macOS, or use a real Kafka."
        ) from error
    return library

"""Writes what no client of Python writes: headers whose names are any bytes."""

import ctypes
from collections.abc import Sequence
from typing import Any

from orchestrator.local.embedded import _library

_TOPIC, _PARTITION, _VALUE, _KEY, _MSGFLAGS, _HEADERS, _END = 1, 3, 4, 5, 7, 10, 0
_COPY = 2
_PRODUCER = 0


def send_raw_headers(
    bootstrap_servers: str,
    topic: str,
    partition: int,
    key: bytes,
    value: bytes,
    headers: Sequence[tuple[bytes, bytes]],
) -> None:
    """Writes one record and waits for its acknowledgement."""
    library: Any = ctypes.CDLL(_library()._name)
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    size = ctypes.c_size_t(len(error))
    config = ctypes.c_void_p(library.rd_kafka_conf_new())
    servers = bootstrap_servers.encode()
    assert library.rd_kafka_conf_set(config, b"bootstrap.servers", servers, error, size) == 0, error.value
    client = ctypes.c_void_p(library.rd_kafka_new(ctypes.c_int(_PRODUCER), config, error, size))
    assert client, error.value
    made = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(len(headers))))
    for name, content in headers:
        sizes = ctypes.c_ssize_t(len(name)), ctypes.c_ssize_t(len(content))
        assert library.rd_kafka_header_add(made, name, sizes[0], content, sizes[1]) == 0
    sent = library.rd_kafka_producev(
        client,
        *(ctypes.c_int(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(_PARTITION), ctypes.c_int32(partition)),
        *(ctypes.c_int(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(_KEY), ctypes.c_char_p(key), ctypes.c_size_t(len(key))),
        *(ctypes.c_int(_MSGFLAGS), ctypes.c_int(_COPY)),
        *(ctypes.c_int(_HEADERS), made),
        ctypes.c_int(_END),
    )
    assert sent == 0
    assert library.rd_kafka_flush(client, ctypes.c_int(30_000)) == 0
    library.rd_kafka_destroy(client)

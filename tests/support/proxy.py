"""A TCP proxy in front of a Kafka broker that can cut the network, or lose requests or responses of one kind."""

import selectors
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

END_TXN: Final = 26
"""API key of the request that ends a transaction (Kafka protocol guide)."""
_CHUNK: Final = 1 << 16


@dataclass(eq=False)
class _Link:
    """One connection: bytes on their way in both directions."""

    client: socket.socket
    broker: socket.socket
    requests: bytearray = field(default_factory=bytearray)
    responses: bytearray = field(default_factory=bytearray)
    lost: set[int] = field(default_factory=set)
    """Correlation ids of requests whose responses will be lost."""


class KafkaProxy:
    """Forwards to one broker, and puts its own address into responses, so that clients come back to it.

    `losing` and `swallowing` are API keys: of requests whose responses are lost, and of requests that never
    arrive; either way the connection is closed.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        host, _, port = bootstrap_servers.partition(":")
        self.losing: int | None = None
        self.swallowing: int | None = None
        self.lost = 0
        self._cut = False
        self._broker = (host, int(port))
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        # In every version of the protocol an address is a host and, behind it, the port.
        self._address = host.encode() + struct.pack(">i", int(port))
        self._own_address = host.encode() + struct.pack(">i", self._port)
        self._links: dict[socket.socket, _Link] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)
        for link in set(self._links.values()):
            self._drop(link)
        self._listener.close()

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def cut(self) -> bool:
        return self._cut

    @cut.setter
    def cut(self, is_cut: bool) -> None:
        """While it is cut, nothing passes, and neither side sees its connection closed."""
        self._cut = is_cut

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._cut:
                self._stopping.wait(0.02)
                continue
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._links:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            broker = socket.create_connection(self._broker, 5)
        except OSError:
            client.close()
            return
        link = _Link(client, broker)
        for end in (client, broker):
            end.setblocking(True)
            self._links[end] = link
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        link = self._links[end]
        try:
            received = end.recv(_CHUNK)
        except OSError:
            received = b""
        if not received:
            self._drop(link)
            return
        try:
            if end is link.client:
                self._send_requests(link, received)
            else:
                self._return_responses(link, received)
        except OSError:
            self._drop(link)

    def _send_requests(self, link: _Link, received: bytes) -> None:
        """Forwards whole requests."""
        link.requests += received
        for frame in _frames(link.requests):
            api_key, _, correlation_id = struct.unpack_from(">hhi", frame)
            if api_key == self.swallowing:
                self.lost += 1
                self._drop(link)
                return
            if api_key == self.losing:
                link.lost.add(correlation_id)
            link.broker.sendall(struct.pack(">i", len(frame)) + frame)

    def _return_responses(self, link: _Link, received: bytes) -> None:
        """Forwards whole responses. A lost one closes its connection, as a broken network does."""
        link.responses += received
        for frame in _frames(link.responses):
            if struct.unpack_from(">i", frame)[0] in link.lost:
                self.lost += 1
                self._drop(link)
                return
            own = frame.replace(self._address, self._own_address)
            link.client.sendall(struct.pack(">i", len(own)) + own)

    def _drop(self, link: _Link) -> None:
        for end in (link.client, link.broker):
            if self._links.pop(end, None) is not None:
                self._selector.unregister(end)
            with suppress(OSError):
                end.close()


def _frames(pending: bytearray) -> list[bytes]:
    """Removes whole frames from the front; returns them without their lengths."""
    frames = []
    while len(pending) >= 4:
        (length,) = struct.unpack_from(">i", pending)
        if len(pending) < 4 + length:
            break
        frames.append(bytes(pending[4 : 4 + length]))
        del pending[: 4 + length]
    return frames

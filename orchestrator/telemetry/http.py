"""The HTTP port of a process: `/healthz`, `/readyz` and `/metrics`.

Anybody who reaches the port may connect, so nothing that a client does or leaves undone keeps probes from their
responses: connections are few and live for seconds, and where there are too many the oldest makes room.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from socket import socket
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

import h11

from orchestrator.errors import ConfigurationError
from orchestrator.telemetry.health import Health
from orchestrator.telemetry.listening import listening
from orchestrator.telemetry.metrics import CONTENT_TYPE, ProcessMetrics

logger: Final = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
"""Connections at once. One that exceeds them displaces the oldest: a probe is served as soon as it has connected."""
REQUEST_S: Final = 5.0
"""From the connection to the end of its only response."""
MOST_HEAD: Final = 8 * 1024
"""Bytes of a request's line and headers."""
RENDERING_SHARE: Final = 0.1
"""Of the time that metrics may take at most: nothing else of the process runs while they are rendered."""
_ACCEPTED_AT_ONCE: Final = 16
"""Connections between two looks at what the earlier ones sent: far fewer than may be open, so that whoever sends
its request at once is not displaced before it is read."""
_BACKLOG: Final = 128


class StatusServer:
    """Serves health and metrics from a daemon thread, by default on loopback."""

    def __init__(
        self, health: Health, metrics: ProcessMetrics, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Listens at once; port 0 picks a free one. Host `::` is every address, of IPv4 and IPv6.

        Raises `ConfigurationError` if the port is in use.
        """
        try:
            self._sockets = listening(host, port)
        except OSError as error:
            raise ConfigurationError(
                f"health and metrics cannot be served on {host}:{port}: {error.strerror}; choose another http_port"
            ) from error
        self._connections = _Connections(_Pages(health, metrics))
        self._loop = asyncio.new_event_loop()
        self._serving = Event()
        self._thread = Thread(target=self._serve, name="status", daemon=True)

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        self._serving.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does not wait for requests in flight: the process is stopping."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        loop = self._loop
        servers = [loop.run_until_complete(self._server(one)) for one in self._sockets]
        loop.call_soon(self._serving.set)
        loop.run_forever()
        for server in servers:
            server.close()
        self._connections.abort_all()
        # Transports close their sockets in the next round of the loop.
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _server(self, listens: socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self._connections), sock=listens, backlog=_ACCEPTED_AT_ONCE
        )
        # asyncio takes one number for both: as many as are accepted at once, and as wait in the kernel.
        listens.listen(_BACKLOG)
        return server


class _Pages:
    """What is served."""

    def __init__(
        self, health: Health, metrics: ProcessMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._rendered = b""
        self._renewed_at = 0.0
        """When metrics are rendered again, by the clock."""

    def response(self, method: bytes, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, type of the content, and body."""
        if method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"only GET and HEAD\n"
        match path.partition("?")[0]:
            case "/healthz":
                return _of_health(self._health.liveness())
            case "/readyz":
                return _of_health(self._health.readiness())
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE, self._exposition()
            case _:
                return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz, /metrics\n"

    def _exposition(self) -> bytes:
        """The metrics as they are, or as they were when they were last asked for a moment ago."""
        begun = self._clock()
        if begun >= self._renewed_at:
            self._rendered = self._metrics.exposition()
            ended = self._clock()
            self._renewed_at = ended + (ended - begun) * (1 / RENDERING_SHARE - 1)
        return self._rendered


def _of_health(problems: Mapping[str, str]) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    body = json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"
    return status, "application/json", body


class _Connections:
    """The open connections, oldest first."""

    def __init__(self, pages: _Pages) -> None:
        self.pages = pages
        self._open: dict[_Connection, None] = {}

    def add(self, connection: "_Connection") -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            next(iter(self._open)).abort()
        self._open[connection] = None

    def remove(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)

    def abort_all(self) -> None:
        for connection in list(self._open):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One request and its response. The connection ends with it, or at its deadline."""

    def __init__(self, connections: _Connections) -> None:
        self._connections = connections
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a server gives to its protocols
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_S, self.abort)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name in the base class
        self._forget()

    def data_received(self, data: bytes) -> None:
        if self._http.our_state is not h11.IDLE:
            return
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._send(b"GET", HTTPStatus(error.error_status_hint), "text/plain", b"not understood\n")
            return
        if isinstance(event, h11.Request):
            target = event.target.decode("ascii", errors="replace")
            self._send(event.method, *self._connections.pages.response(event.method, target))
        elif event is not h11.NEED_DATA:
            self.abort()

    def abort(self) -> None:
        """Ends the connection at once, whatever was not sent."""
        if self._transport is not None:
            self._transport.abort()
        self._forget()

    def _send(self, method: bytes, status: HTTPStatus, content_type: str, body: bytes) -> None:
        if self._transport is None:
            return
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=status.phrase)
        events: list[h11.Event] = [response, h11.Data(data=body), h11.EndOfMessage()]
        if method == b"HEAD":
            del events[1]
        # A client that closes early, or sends more than its request, does not concern others.
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))
        self._transport.close()

    def _forget(self) -> None:
        self._connections.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()

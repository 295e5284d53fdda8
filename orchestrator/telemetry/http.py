"""The HTTP port of a process: `/healthz`, `/readyz` and `/metrics`."""

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from orchestrator.errors import ConfigurationError
from orchestrator.telemetry.metrics import CONTENT_TYPE, ProcessMetrics

Check = Callable[[], str | None]
"""Returns what is wrong, or None. Runs on a thread of the server, so it must be quick and must not block."""

logger: Final = logging.getLogger(__name__)
_REQUEST_S: Final = 5.0


class Health:
    """The liveness and readiness checks of a process. Any thread may call.

    A failed *liveness* check gets the process restarted: only what a restart can fix belongs there. A process
    that is not *ready* gets no requests.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._liveness: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}

    def add_liveness_check(self, name: str, check: Check) -> None:
        with self._lock:
            self._liveness[name] = check

    def add_readiness_check(self, name: str, check: Check) -> None:
        with self._lock:
            self._readiness[name] = check

    def liveness(self) -> dict[str, str]:
        """Problems by the name of their check; empty while the process is alive."""
        return self._problems(self._liveness)

    def readiness(self) -> dict[str, str]:
        """Problems by the name of their check; empty while the process is ready."""
        return self._problems(self._liveness) | self._problems(self._readiness)

    def _problems(self, checks: Mapping[str, Check]) -> dict[str, str]:
        with self._lock:
            named = tuple(checks.items())
        return {name: problem for name, check in named if (problem := _run(check))}


def _run(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that raises is a problem to report
        return f"the check failed: {type(error).__name__}"


class StatusServer:
    """Serves health and metrics from a daemon thread, by default on loopback."""

    def __init__(
        self, health: Health, metrics: ProcessMetrics, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Listens at once; port 0 picks a free one. Raises `ConfigurationError` if the port is in use."""
        try:
            self._server = _Server((host, port), _handler(health, metrics))
        except OSError as error:
            raise ConfigurationError(
                f"health and metrics cannot be served on {host}:{port}: {error.strerror}; choose another http_port"
            ) from error
        self._thread = Thread(target=self._server.serve_forever, name="status", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The process is stopping: do not wait for requests in flight.
    block_on_close = False


def _handler(health: Health, metrics: ProcessMetrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_S

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._send_health(health.liveness())
                case "/readyz":
                    self._send_health(health.readiness())
                case "/metrics":
                    self._send(HTTPStatus.OK, CONTENT_TYPE, metrics.exposition())
                case _:
                    self._send(HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz, /metrics\n")

        def _send_health(self, problems: Mapping[str, str]) -> None:
            status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
            body = json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"
            self._send(status, "application/json", body)

        def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            logger.debug(format, *args)

    return Handler

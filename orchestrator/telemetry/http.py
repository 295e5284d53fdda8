"""One port of a process: `/healthz`, `/readyz` and `/metrics`."""

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
"""Says what is wrong, or None. Runs on a thread of the server, so it only looks, and quickly."""

logger: Final = logging.getLogger(__name__)
_REQUEST_S: Final = 5.0


class Health:
    """What a process says about itself. Any thread may call.

    *Alive* is for restarting it: only what a restart can mend belongs there. *Ready* is for sending it work.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def alive_if(self, name: str, check: Check) -> None:
        with self._lock:
            self._alive[name] = check

    def ready_if(self, name: str, check: Check) -> None:
        with self._lock:
            self._ready[name] = check

    def aliveness(self) -> dict[str, str]:
        """What is wrong by the name of its check; empty while the process is alive."""
        return self._problems(self._alive)

    def readiness(self) -> dict[str, str]:
        """What is wrong by the name of its check; empty while the process is ready."""
        return self._problems(self._alive) | self._problems(self._ready)

    def _problems(self, checks: Mapping[str, Check]) -> dict[str, str]:
        with self._lock:
            named = tuple(checks.items())
        return {name: problem for name, check in named if (problem := _asked(check))}


def _asked(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that fails is an answer, not an end of the server
        return f"the check failed: {type(error).__name__}"


class StatusServer:
    """Serves health and metrics from a daemon thread, on loopback unless told otherwise."""

    def __init__(
        self, health: Health, metrics: ProcessMetrics, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Listens at once; port 0 takes a free one. Raises `ConfigurationError` if the port is taken."""
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
    # Requests in flight are not waited for: the process is ending.
    block_on_close = False


def _handler(health: Health, metrics: ProcessMetrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_S

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._say(health.aliveness())
                case "/readyz":
                    self._say(health.readiness())
                case "/metrics":
                    self._send(HTTPStatus.OK, CONTENT_TYPE, metrics.exposition())
                case _:
                    self._send(HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz, /metrics\n")

        def _say(self, problems: Mapping[str, str]) -> None:
            status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
            body = json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"
            self._send(status, "application/json", body)

        def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            logger.debug(format, *args)

    return Handler

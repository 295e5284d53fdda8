"""Stands before a registry, and answers in its place what tests want."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class SwitchableRegistry(ThreadingHTTPServer):
    """Passes every request on, except those whose path has a text in it while there is an answer for it."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind
        self.answers: dict[str, tuple[int, str]] = {}
        """Status and body, by a part of the path."""
        self.requests: list[str] = []
        self._answering = Event()
        self._answering.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Takes connections and requests, and does not respond."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    def wait_answering(self) -> None:
        self._answering.wait()


class _Handler(BaseHTTPRequestHandler):
    server: SwitchableRegistry

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, sent: bytes | None) -> None:
        self.server.requests.append(self.path)
        self.server.wait_answering()
        for part, (status, text) in self.server.answers.items():
            if part in self.path:
                self._write(status, text.encode())
                return
        kept = {"Content-Type": self.headers["Content-Type"]} if sent else {}
        asked = Request(self.server.behind + self.path, sent, kept)  # noqa: S310 - on loopback
        try:
            with urlopen(asked) as answer:  # noqa: S310
                self._write(answer.status, answer.read())
        except HTTPError as error:
            with error:
                self._write(error.code, error.read())

    def _write(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def switchable(behind: str) -> Iterator[SwitchableRegistry]:
    with SwitchableRegistry(behind) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

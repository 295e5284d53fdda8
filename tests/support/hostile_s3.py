"""An S3 service that lets readers wait, never ends, or refuses."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = b"x" * 65536


class HostileS3(ThreadingHTTPServer):
    """`answer` says what each request gets: `drip` has a byte every 50 ms, `endless` has no end, a number is a status
    with an empty body, and a number and a code are an error of S3 (`400 ExpiredToken`): HEAD has no text, and is
    refused for what is wrong with the request; else nothing is there. `200` takes whatever is written."""

    daemon_threads = True
    answer: str = "drip"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.over = threading.Event()
        """Whether all may stop."""
        self.gone = threading.Event()
        """Whether a reader of a body left before its end."""
        self.keys: list[str] = []
        """The access keys of the requests that wrote, in their order."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """The setting that names a bucket of it."""
        return f"s3://values?endpoint_url={self.endpoint}&region=eu-central-1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HostileS3

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        status, _, code = self.server.answer.partition(" ")
        self._empty(404 if code and not status.startswith("4") else int(status))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        self._say()

    def do_GET(self) -> None:
        if self.server.answer[0].isdecimal():
            self._say()
            return
        self.send_response(200)
        try:
            if self.server.answer == "drip":
                self._drip()
            else:
                self._without_end()
        except OSError:
            self.server.gone.set()
        self.close_connection = True

    def _drip(self) -> None:
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.over.wait(0.05):
            self.wfile.write(b"x")

    def _without_end(self) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.server.over.is_set():
            self.wfile.write(b"10000\r\n" + PIECE + b"\r\n")

    def _say(self) -> None:
        status, _, code = self.server.answer.partition(" ")
        if not code:
            self._empty(int(status))
            return
        text = f"<Error><Code>{code}</Code><Message>text</Message></Error>".encode()
        self.send_response(int(status))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def hostile_s3(answer: str) -> Iterator[HostileS3]:
    with HostileS3() as server:
        server.answer = answer
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            serving.join()

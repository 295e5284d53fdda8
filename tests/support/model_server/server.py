"""The HTTP server: chat completions and models as OpenAI's API has them, and `/control` for tests."""

import json
import select
import socket
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.support.model_server.faults import (
    ApiError,
    BreakStream,
    Fault,
    Obstacle,
    Planted,
    Refusal,
    from_json,
)
from tests.support.model_server.ledger import Entry, Ledger, Outcome
from tests.support.model_server.planting import Gates, PlantedFaults
from tests.support.model_server.replies import First, Message, Script, Spoken, message
from tests.support.model_server.requests import Request
from tests.support.model_server.usage import PromptCache, Usage, as_json
from tests.support.model_server.wire import chunks, whole_body

_LOOK_S: Final = 0.05
"""How often a request that is held back looks whether its client has gone."""


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread of its own. On 127.0.0.1 only."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, scripts: Mapping[str, Script], ledger: Ledger) -> None:
        self.scripts = scripts
        self.ledger = ledger
        self.planted = PlantedFaults()
        self.gates = Gates()
        self.cache = PromptCache()
        self.last: dict[str, Request] = {}
        """The latest request of each conversation."""
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is no error of the server's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def decide(self, request: Request, seen: int) -> tuple[Fault | None, Spoken]:
        """The fault that befalls the request when it comes for this time, and what it is answered otherwise."""
        reply = self.scripts[request.model](request)
        planted = self.planted.due(request)
        if isinstance(reply, First):
            scripted = reply.faults[seen - 1] if seen <= len(reply.faults) else None
            return planted or scripted, reply.then
        if isinstance(reply, Refusal):
            return planted or reply, ()
        return planted, reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/v1/models":
                models = [
                    {"id": name, "object": "model", "owned_by": "tests"} for name in self.server.scripts
                ]
                self._send_json(200, {"object": "list", "data": models})
            case "/control/requests":
                self._send_json(200, {"requests": [each.to_json() for each in self.server.ledger.entries]})
            case "/control/last":
                found = [each for each in self.server.last.values() if query["about"] in each.task]
                self._send_json(200, {"bodies": [each.body for each in found]})
            case "/control/held":
                wait_s, count = float(query["wait_s"]), int(query["count"])
                self._send_json(200, {"held": self.server.gates.wait_held(query["gate"], count, wait_s)})
            case "/control/settled":
                self._send_json(200, {"settled": self.server.ledger.wait_settled(float(query["wait_s"]))})
            case _:
                self._send_not_found()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            # The client has gone in the middle of its request.
            self.close_connection = True
            return
        match self.path:
            case "/v1/chat/completions":
                self._complete(json.loads(body))
            case "/control/fault":
                document = json.loads(body)
                fault = from_json(document.pop("fault"))
                self.server.planted.plant(Planted(fault, **document))
                self._send_json(200, {})
            case "/control/release":
                self.server.gates.open(json.loads(body)["gate"])
                self._send_json(200, {})
            case _:
                self._send_not_found()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """The ledger is the log."""

    def _complete(self, body: dict[str, Any]) -> None:
        """Answers a chat completion, or fails as planned.

        1. Note it. 2. Decide. 3. An error ends it. 4. Note what it costs. 5. Send, and note what became of it.
        """
        request = Request(body, {name.lower(): value for name, value in self.headers.items()})
        if request.model not in self.server.scripts:
            text = f"The model {request.model} has no script: use one of {', '.join(self.server.scripts)}"
            self._send_error(ApiError(404, "model_not_found", "invalid_request_error", text))
            return
        entry = self.server.ledger.open(request)
        self.server.last[request.conversation] = request
        try:
            fault, spoken = self.server.decide(request, entry.seen)
            written = message(request, spoken)
        except Exception as error:  # noqa: BLE001 - a mistake of a script must reach its test
            text = f"the script of {request.model} failed: {type(error).__name__}: {error}"
            self._refuse(
                entry, ApiError(400, "script_failed", "invalid_request_error", text), Outcome.INVALID
            )
            return
        if isinstance(fault, Refusal):
            self._refuse(entry, fault.error(), Outcome.REFUSED)
            return
        cached = self.server.cache.cached_tokens(request.conversation, request.messages)
        usage = Usage(request.prompt_tokens, written.tokens, cached)
        self.server.ledger.change(entry.number, usage=usage)
        try:
            self._send_reply(entry, _pieces(request, written, usage), fault)
        except OSError:
            self.server.ledger.change(entry.number, outcome=Outcome.LOST)
            self.close_connection = True

    def _refuse(self, entry: Entry, error: ApiError, outcome: Outcome) -> None:
        self.server.ledger.change(entry.number, outcome=outcome, status=error.status, error=error.message)
        self._send_error(error)

    def _send_reply(self, entry: Entry, pieces: list[bytes], obstacle: Obstacle | None) -> None:
        """Raises `OSError` if the connection is lost, also where an obstacle closes it."""
        last = len(pieces) - 1
        for count, piece in enumerate(pieces):
            if obstacle is not None and count == min(obstacle.after_chunks, last):
                self._meet(obstacle)
            if count == 0:
                self.server.ledger.change(entry.number, status=200)
                self._start_reply(None if entry.streamed else sum(map(len, pieces)))
            if count == last:
                self._require_client()
                # Before the client can have it all: who has the reply finds it in the log.
                self.server.ledger.change(entry.number, outcome=Outcome.ANSWERED)
            self.wfile.write(_framed(piece, is_last=count == last) if entry.streamed else piece)

    def _start_reply(self, length: int | None) -> None:
        self.send_response(200)
        if length is None:
            self.send_header("Content-Type", "text/event-stream")
            # Not the end of the connection but an empty chunk ends the stream, so that a broken one is noticed.
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _meet(self, obstacle: Obstacle) -> None:
        if obstacle.gate:
            self._wait_at(obstacle.gate)
        if isinstance(obstacle, BreakStream):
            raise ConnectionAbortedError

    def _wait_at(self, gate: str) -> None:
        """Raises `ConnectionAbortedError` if the client does not wait so long."""
        self.server.gates.arrive(gate)
        try:
            while not self.server.gates.is_open(gate, _LOOK_S):
                self._require_client()
        finally:
            self.server.gates.leave(gate)

    def _require_client(self) -> None:
        """Raises `ConnectionAbortedError` if the client has closed the connection."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError

    def _send_not_found(self) -> None:
        text = f"{self.command} {self.path} is not served: use /v1/chat/completions, as models `openai-chat:NAME` do"
        self._send_error(ApiError(404, None, "invalid_request_error", text))

    def _send_error(self, error: ApiError) -> None:
        self._send_json(error.status, error.body(), error.headers)

    def _send_json(self, status: int, document: object, headers: tuple[tuple[str, str], ...] = ()) -> None:
        body = as_json(document)
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _framed(piece: bytes, *, is_last: bool) -> bytes:
    """A chunk of HTTP; the last one brings the end, so that who has its text cannot have broken the connection."""
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n" + (b"0\r\n\r\n" if is_last else b"")


def _pieces(request: Request, written: Message, usage: Usage) -> list[bytes]:
    """What is sent, in pieces: the events of a stream, or the halves of a whole body."""
    if request.streamed:
        events = [as_json(chunk) for chunk in chunks(request, written, usage)]
        return [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]
    body = as_json(whole_body(request, written, usage))
    half = len(body) // 2
    return [body[:half], body[half:]]

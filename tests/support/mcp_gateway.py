"""A server of tools by the Model Context Protocol over HTTP whose answers a test decides, also those that are none."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

_ORDER: Final = {
    "name": "order",
    "description": "Orders an item.",
    "inputSchema": {"type": "object", "properties": {"item": {"type": "string"}}},
    "annotations": {"readOnlyHint": False, "idempotentHint": False},
}


@dataclass(frozen=True)
class Reply:
    """What is sent back for a request."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    encoding: str = ""


def page(status: int) -> Reply:
    """What a proxy says where it gets no answer."""
    return Reply(b"<html>Something went wrong</html>", status, "text/html")


def refusal(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


class Gateway:
    """Has one tool, `order`, which must not run twice. `on` has the replies that are not the usual ones, by method."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """Methods, in the order of the requests."""
        self.on: dict[str, Callable[[], Reply | dict[str, Any]]] = {}
        self.call_type = ""
        """Media type of the stream of events as which results of calls come; empty for JSON."""
        self._closed = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/mcp"

    def hang(self) -> Reply:
        """No reply, until the gateway is closed."""
        self._closed.wait()
        return page(503)

    def reply(self, message: dict[str, Any]) -> Reply:
        method = message.get("method", "")
        self.asked.append(method)
        content = self.on.get(method, lambda: self._usual(method))()
        if isinstance(content, Reply):
            return content
        if "id" not in message:
            return Reply(b"", 202)
        answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], **content}, ensure_ascii=False).encode()
        if self.call_type and method == "tools/call":
            return Reply(b"data: " + answer + b"\n\n", 200, self.call_type)
        return Reply(answer)

    def _usual(self, method: str) -> dict[str, Any]:
        match method:
            case "initialize":
                return {
                    "result": {
                        "protocolVersion": "2025-06-18",
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "gateway", "version": "1"},
                    }
                }
            case "tools/list":
                return {"result": {"tools": [_ORDER]}}
            case "tools/call":
                return {"result": {"content": [{"type": "text", "text": "ordered"}]}}
            case "ping":
                return {"result": {}}
            case _:
                return refusal(-32601, "Method not found")

    def _handler(gateway) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                # Whoever asked may have given up.
                with suppress(ConnectionError):
                    self._send(gateway.reply(json.loads(body)))

            def do_GET(self) -> None:
                self._send(Reply(b"", 405))

            def do_DELETE(self) -> None:
                self.do_GET()

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("content-type", reply.media_type)
                if reply.encoding:
                    self.send_header("content-encoding", reply.encoding)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
                """Says nothing."""

        return Handler

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

"""A small web server on loopback that says what a test wants it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Web:
    """A web server whose answers are bytes by path; it keeps what it was asked."""

    answers: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    port: int = 0

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def says(self, path: str, body: str | bytes = b"", status: str = "200 OK", **headers: str) -> str:
        """Answers `path` so; returns its URL."""
        content = body.encode() if isinstance(body, str) else body
        fields = {"content_type": "text/plain", "content_length": str(len(content)), **headers}
        lines = [
            f"HTTP/1.1 {status}",
            *(f"{name.replace('_', '-')}: {text}" for name, text in fields.items()),
        ]
        self.answers[path] = "\r\n".join([*lines, "", ""]).encode() + content
        return f"http://{self.place}{path}"

    def redirects(self, path: str, location: str) -> str:
        return self.says(path, status="302 Found", location=location)

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Web"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            for event in self.hold.values():
                event.set()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            path = request.split(" ", 2)[1]
            writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
            await writer.drain()
            if path in self.hold:
                await self.hold[path].wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

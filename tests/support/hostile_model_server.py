"""A server of OpenAI's chat protocol that sends whatever bytes a test wants: the name of the model says which."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chunk(delta: Mapping[str, Any], finish: str | None = None, usage: Any = None) -> bytes:
    """One event of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps(body if usage is None else {**body, "usage": usage}).encode() + b"\n\n"


def stream(*events: bytes) -> bytes:
    """A streamed response that ends when its connection does."""
    return STREAM + b"".join(events)


def whole(message: Mapping[str, Any], usage: Any = None, finish: str | None = "stop") -> bytes:
    """A response that comes at once."""
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    return response(json.dumps({**body, "usage": USAGE if usage is None else usage}).encode())


def response(
    body: bytes, status: int = 200, encoding: str = "identity", content_type: str = "application/json"
) -> bytes:
    """Any body."""
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class HostileServer:
    """What it is going to send by model, and what it was asked."""

    port: int = 0
    replies: dict[str, bytes] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1", "OPENAI_API_KEY": "test"}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            asked = json.loads(await reader.readexactly(int(lengths[0].partition(b":")[2])))
            self.heads.append(head)
            self.requests.append(asked)
            writer.write(self.replies[asked["model"]])
            await writer.drain()
        except ConnectionError:
            # A client that has read enough hangs up.
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile_server(**replies: bytes) -> AsyncIterator[HostileServer]:
    """A server on this event loop, on a free port."""
    hostile = HostileServer(replies=replies)
    server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    hostile.port = server.sockets[0].getsockname()[1]
    async with server:
        yield hostile

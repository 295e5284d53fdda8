"""What HTTP clients of others' servers take from them: bodies that are not packed, as text of a codec that works in
proportion to the body, and no more bytes than a bound."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import httpx2

from orchestrator_services.http_bodies import ACCEPTED, charset

Check = Callable[[Any], Coroutine[Any, Any, None]]
"""Gets a response before its body is read."""
Take = Callable[[bytes], None]
"""Gets the chunks of a body as they come, and raises for what is not to be read."""


def limit_client(client: Any, check: Check) -> None:
    """Has a client of httpx or httpx2 ask for bodies that are not packed, and has `check` see each response. Doing it
    twice does no harm."""
    hooks = client.event_hooks
    requests, responses = hooks.setdefault("request", []), hooks.setdefault("response", [])
    if check not in responses:
        requests.append(_ask_unpacked)
        responses.append(check)


async def _ask_unpacked(request: Any) -> None:
    request.headers["Accept-Encoding"] = ACCEPTED


def is_stream(response: Any) -> bool:
    """Whether it is a stream of events."""
    is_of_events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    return bool(response.is_success and is_of_events)


def limit_response(response: Any, take: Take) -> None:
    """Has each chunk of a body shown to `take` while it is read."""
    kind = _CountedOfHttpx2 if isinstance(response, httpx2.Response) else _CountedOfHttpx
    # Clients decode errors and streams with whatever codec the server names, on the event loop.
    response.encoding = charset(response.headers)
    response.stream = kind(response.stream, take)


class Bounds:
    """What is left of one response."""

    def __init__(self, most: int | None, most_in_line: int, refused: Callable[[str, int], Exception]) -> None:
        """Bytes in all (None: any number, as of a stream that lasts as long as its connection) and in a line.
        `refused` makes the error of what is too large, from what that is and the most that it may have."""
        self._most = most
        self._most_in_line = most_in_line
        self._refused = refused
        self._all = 0
        self._line = 0

    def take(self, chunk: bytes) -> None:
        """Raises for one that is too large."""
        self._all += len(chunk)
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._line = self._line + len(chunk) if end < 0 else len(chunk) - end - 1
        if self._most is not None and self._all > self._most:
            raise self._refused("response", self._most)
        if self._line > self._most_in_line:
            raise self._refused("line", self._most_in_line)


class _Counted:
    """A body that is counted while it is read."""

    def __init__(self, body: Any, take: Take) -> None:
        self._body = body
        self._take = take

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._take(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _CountedOfHttpx2(_Counted, httpx2.AsyncByteStream):
    """For clients that have moved to this library."""


class _CountedOfHttpx(_Counted, httpx.AsyncByteStream):
    """For those that have not."""

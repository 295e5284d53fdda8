"""What clients of providers take from servers: bodies that are not packed, and no more bytes than the settings allow.

The clients read bodies of errors whole, and hold what they read many times over.
"""

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, Final

import httpx
import httpx2
from pydantic_ai.models import Model as ClientModel
from pydantic_ai.models.fallback import FallbackModel

from orchestrator.sdk import TransientError
from orchestrator_services.http_bodies import ACCEPTED, charset, packing
from orchestrator_services.models.settings import settings

PARTS: Final = 4
"""A line of a stream, and a body that is none, are held at once: they may have this part of the bytes of a stream."""
statuses: Final[ContextVar[list[int] | None]] = ContextVar("statuses", default=None)
"""Gets the status of each response that begins to come in this context."""


class RefusedResponseError(TransientError):
    """A response that is not read, or not to its end."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="response_unusable")


def limit_responses(model: ClientModel) -> None:
    """Limits what the model's client reads, if the library made that client: what somebody else made has its own
    limits. Doing it twice does no harm."""
    if isinstance(model, FallbackModel):
        for one in model.models:
            limit_responses(one)
        return
    provider: Any = model.provider
    client = getattr(provider, "_own_http_client", None)
    if client is None:
        return
    _limited(client)
    make = provider._http_client_factory  # noqa: SLF001 - nothing public leads to the client, or to the next one
    if make is not None and not isinstance(make, _Limited):
        provider._http_client_factory = _Limited(make)  # noqa: SLF001


class _Limited:
    """Makes the client that a provider has on another event loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        client = self._make()
        _limited(client)
        return client


def _limited(client: Any) -> None:
    hooks = client.event_hooks
    if _check not in hooks["response"]:
        client.event_hooks = {
            "request": [*hooks["request"], _ask_unpacked],
            "response": [*hooks["response"], _check],
        }


async def _ask_unpacked(request: Any) -> None:
    request.headers["Accept-Encoding"] = ACCEPTED


async def _check(response: Any) -> None:
    """Called before the body is read. Raises `RefusedResponseError`, as reading the body does later."""
    if (seen := statuses.get()) is not None:
        seen.append(response.status_code)
    host = response.request.url.host
    if found := packing(response.headers):
        raise RefusedResponseError(
            f"{host} sent a response packed with {found!r}, although the request did not accept that: have the server, "
            "or the proxy before it, send what it is asked for"
        )
    is_stream = response.is_success and response.headers.get("content-type", "").startswith(
        "text/event-stream"
    )
    limits = _Limits(host, settings().max_response_bytes, is_stream)
    kind = _CountedOfHttpx2 if isinstance(response, httpx2.Response) else _CountedOfHttpx
    # Clients decode errors and streams with whatever codec the server names, on the event loop.
    response.encoding = charset(response.headers)
    response.stream = kind(response.stream, limits)


class _Limits:
    """What is left of one response."""

    def __init__(self, host: str, most: int, is_stream: bool) -> None:
        self._host = host
        self._most = most if is_stream else most // PARTS
        self._most_in_line = most // PARTS
        self._all = 0
        self._line = 0

    def take(self, chunk: bytes) -> None:
        """Raises `RefusedResponseError` for one that is too large."""
        self._all += len(chunk)
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._line = self._line + len(chunk) if end < 0 else len(chunk) - end - 1
        if self._all > self._most:
            self._refuse("response", self._most)
        if self._line > self._most_in_line:
            self._refuse("line", self._most_in_line)

    def _refuse(self, what: str, most: int) -> None:
        raise RefusedResponseError(
            f"{self._host} sent a {what} of more than {most:,} bytes: if that is what the model writes, raise "
            "ORCHESTRATOR_MODELS_MAX_RESPONSE_BYTES"
        )


class _Counted:
    """A body that is counted while it is read."""

    def __init__(self, body: Any, limits: _Limits) -> None:
        self._body = body
        self._limits = limits

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._limits.take(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _CountedOfHttpx2(_Counted, httpx2.AsyncByteStream):
    """For clients of providers that have moved to this library."""


class _CountedOfHttpx(_Counted, httpx.AsyncByteStream):
    """For those that have not."""

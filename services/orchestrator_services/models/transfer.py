"""What clients of providers take from servers: bodies that are not packed, and no more bytes than the settings allow.

The clients read bodies of errors whole, and hold what they read many times over.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from pydantic_ai.models import Model as ClientModel
from pydantic_ai.models.fallback import FallbackModel

from orchestrator.sdk import TransientError
from orchestrator_services.http_bodies import packing
from orchestrator_services.http_limits import Bounds, is_stream, limit_client, limit_response
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
    limit_client(client, _check)
    make = provider._http_client_factory  # noqa: SLF001 - nothing public leads to the client, or to the next one
    if make is not None and not isinstance(make, _Limited):
        provider._http_client_factory = _Limited(make)  # noqa: SLF001


class _Limited:
    """Makes the client that a provider has on another event loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        client = self._make()
        limit_client(client, _check)
        return client


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
    most = settings().max_response_bytes
    part = most // PARTS
    bounds = Bounds(most if is_stream(response) else part, part, partial(_too_large, host))
    limit_response(response, bounds.take)


def _too_large(host: str, what: str, most: int) -> RefusedResponseError:
    return RefusedResponseError(
        f"{host} sent a {what} of more than {most:,} bytes: if that is what the model writes, raise "
        "ORCHESTRATOR_MODELS_MAX_RESPONSE_BYTES"
    )

"""What clients of MCP servers take over HTTP: whoever runs the server decides what it sends."""

from functools import partial
from typing import Any, Final

import httpx2
from pydantic_ai import RunContext
from pydantic_ai.toolsets import AbstractToolset, WrapperToolset

from orchestrator_services.agents.server_results import check_results
from orchestrator_services.http_bodies import packing
from orchestrator_services.http_limits import Bounds, is_stream, limit_client, limit_response

MOST_BYTES: Final = 16 << 20
"""Of an answer, and of a line of a stream of events. A stream lasts as long as its call or its connection, so it has no
other bound here; an event of it may have 1 MiB, which the library sees to where the agent's code does not say."""


class RefusedAnswerError(httpx2.StreamError):
    """A body that is not read, or not to its end. Of a kind that the client makes the failure of one request."""


def limit_transport(transport: Any) -> None:
    """Limits what the clients of a transport read, whoever makes them. Doing it twice does no harm; a transport
    without HTTP stays as it is."""
    if not hasattr(transport, "httpx_client_factory"):
        return
    if not isinstance(transport.httpx_client_factory, _Limited):
        transport.httpx_client_factory = _Limited(transport)


class _Limited:
    """Makes the clients of a transport."""

    def __init__(self, transport: Any) -> None:
        self._make = transport.httpx_client_factory
        self._verifying = transport._make_verify_factory  # noqa: SLF001 - what it would use without a factory

    def __call__(self, **options: Any) -> Any:
        client = self._made(**options)
        limit_client(client, _check)
        return client

    def _made(self, **options: Any) -> Any:
        if self._make is not None:
            return self._make(**options)
        # Its module takes seconds, and whoever has a transport has it.
        from mcp.shared._httpx_utils import create_mcp_http_client

        # Only factories of others are told.
        options.pop("follow_redirects", None)
        return (self._verifying() or create_mcp_http_client)(**options)


class ServerOfRuns(WrapperToolset[Any]):
    """An MCP server that each run connects to with credentials of its own."""

    @property
    def id(self) -> str | None:
        return self.wrapped.id

    async def for_run(self, ctx: RunContext[Any]) -> AbstractToolset[Any]:
        found: Any = await self.wrapped.for_run(ctx)
        limit_transport(found.client.transport)
        check_results(found.client.transport)
        served: AbstractToolset[Any] = found
        return served


async def _check(response: Any) -> None:
    """Called before the body is read. Reading it raises `RefusedAnswerError`: raised here, it would end the connection
    for all calls."""
    host = response.request.url.host
    if found := packing(response.headers):
        limit_response(response, partial(_refuse_packed, host, found))
    else:
        most = None if is_stream(response) else MOST_BYTES
        limit_response(response, Bounds(most, MOST_BYTES, partial(_too_large, host)).take)


def _refuse_packed(host: str, found: str, _chunk: bytes) -> None:
    raise RefusedAnswerError(
        f"{host} sent an answer packed with {found!r}, although the request did not accept that"
    )


def _too_large(host: str, what: str, most: int) -> RefusedAnswerError:
    return RefusedAnswerError(f"{host} sent a {what} of more than {most:,} bytes")

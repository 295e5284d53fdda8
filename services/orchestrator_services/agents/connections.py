"""Connections to servers of tools: opened when they are first needed, kept, and opened again after they broke."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context as Variables
from typing import Any, Final, Protocol

logger: Final = logging.getLogger(__name__)


class Server(Protocol):
    """What a connection is made to. Only one connection to it is open at a time."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *args: Any) -> bool | None: ...


class Connection:
    """A connection to one server, which all calls of this process share.

    It belongs to the event loop that first used it, and ends with it: cancelling the loop's tasks closes it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held: _Held | None = None

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Inside, the connection is open. Raises what opening it raises."""
        held = await self._opened()
        held.enter()
        try:
            yield
        finally:
            held.leave()

    def broke(self) -> None:
        """Says that the connection broke: it is closed, and opened again for the next call."""
        if self._held is not None:
            self._held.broken.set()

    async def _opened(self) -> "_Held":
        while True:
            held = self._held
            if held is None or not held.is_of_this_loop or held.task.done():
                held = self._held = _Held(self._server)
            if held.broken.is_set():
                # Closed first: entering a server that is entered already would join the broken connection.
                await asyncio.wait({held.task})
                continue
            await asyncio.shield(held.opened)
            return held


class _Held:
    """A task that enters the server, and leaves it: both have to happen in one task."""

    def __init__(self, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._uses = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self.broken = asyncio.Event()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        # If its caller is cancelled, nothing retrieves the error.
        self.opened.add_done_callback(lambda opened: opened.cancelled() or opened.exception())
        # It outlives the call that opens it, so it has nothing of its context.
        self.task = self._loop.create_task(self._hold(server), name="server of tools", context=Variables())

    @property
    def is_of_this_loop(self) -> bool:
        return self._loop is asyncio.get_running_loop()

    def enter(self) -> None:
        self._uses += 1
        self._unused.clear()

    def leave(self) -> None:
        self._uses -= 1
        if not self._uses:
            self._unused.set()

    async def _hold(self, server: Server) -> None:
        try:
            async with server:
                self.opened.set_result(None)
                await self.broken.wait()
                await self._unused.wait()
        except Exception as error:
            if not self.opened.done():
                self.opened.set_exception(error)
            else:
                # A connection that broke breaks once more when it is closed.
                logger.debug("closing a connection failed", exc_info=error)
        finally:
            self.opened.cancel()

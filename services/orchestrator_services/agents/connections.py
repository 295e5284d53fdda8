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

    async def interrupt(self) -> None:
        """Makes the calls that are waiting for an answer fail."""
        ...


class Connection:
    """A connection to one server, which all calls of this process share.

    It belongs to the event loop that first used it, and ends with it: cancelling the loop's tasks closes it.
    """

    def __init__(self, server: Server, grace_s: float = 5.0) -> None:
        """`grace_s` is how long other calls have to end after one has found the connection broken; new calls wait for
        that."""
        self._server = server
        self._grace_s = grace_s
        self._held: Held | None = None

    @asynccontextmanager
    async def used(self) -> "AsyncIterator[Held]":
        """Inside, the connection is open. Raises what opening it raises."""
        held = await self._opened()
        held.enter()
        try:
            yield held
        finally:
            held.leave()

    def broke(self) -> None:
        """Says that the connection broke: it is closed, and opened again for the next call."""
        if self._held is not None:
            self._held.broke()

    async def _opened(self) -> "Held":
        while True:
            held = self._held
            if held is None or not held.is_of_this_loop or held.task.done():
                held = self._held = Held(self._server, self._grace_s)
            if held.is_broken:
                # Closed first: entering a server that is entered already would join the broken connection.
                await asyncio.wait({held.task})
                continue
            await asyncio.shield(held.opened)
            return held


class Held:
    """One connection, while it lasts: a task that enters the server, and leaves it, since both have to happen in one
    task."""

    def __init__(self, server: Server, grace_s: float) -> None:
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._uses = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._broken = asyncio.Event()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        # If its caller is cancelled, nothing retrieves the error.
        self.opened.add_done_callback(lambda opened: opened.cancelled() or opened.exception())
        # It outlives the call that opens it, so it has nothing of its context.
        self.task = self._loop.create_task(self._hold(server), name="server of tools", context=Variables())

    @property
    def is_of_this_loop(self) -> bool:
        return self._loop is asyncio.get_running_loop()

    @property
    def is_broken(self) -> bool:
        return self._broken.is_set()

    @property
    def is_used(self) -> bool:
        return self._uses > 0

    def broke(self) -> None:
        """Says that it broke. Whatever has been opened since is not touched."""
        self._broken.set()

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
                await self._broken.wait()
                await self._wait_until_unused(server)
        except Exception as error:
            if not self.opened.done():
                self.opened.set_exception(error)
            else:
                # A connection that broke breaks once more when it is closed.
                logger.debug("closing a connection failed", exc_info=error)
        finally:
            self.opened.cancel()

    async def _wait_until_unused(self, server: Server) -> None:
        """Calls that do not end on their own are interrupted: left alone, they would hold up all later ones."""
        try:
            async with asyncio.timeout(self._grace_s):
                await self._unused.wait()
        except TimeoutError:
            await server.interrupt()
            await self._unused.wait()

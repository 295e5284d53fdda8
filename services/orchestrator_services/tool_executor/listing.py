"""Asks the sources of tools which tools they have, again and again where one is not reached."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.sdk import ToolDefinition, ToolSource, contained, failure_of
from orchestrator_services.tool_executor.lookup import Lookup
from orchestrator_services.tool_executor.usable import Usable

logger: Final = logging.getLogger(__name__)

Found = Sequence[ToolDefinition]


@dataclass(frozen=True)
class Backoff:
    """Seconds until a source is asked again; they double each time."""

    first: float = 1.0
    most: float = 60.0


class Listing:
    """The tools of several sources, which are asked side by side."""

    def __init__(
        self,
        sources: Sequence[ToolSource],
        lookup: Lookup,
        backoff: Backoff | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """`timeout_s` is how long a source may be silent before that is logged, and it counts as asked."""
        self._sources = sources
        self._lookup = lookup
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._found: asyncio.Queue[Found] = asyncio.Queue()

    async def found(self) -> AsyncGenerator[Found, None]:
        """Definitions as soon as sources name them.

        The first item without any comes once each source has named its tools, failed, or been silent for long.
        """
        asked = [asyncio.Event() for _ in self._sources]
        asking = [
            asyncio.create_task(self._ask(source, event), name=f"tools of {source.name}")
            for source, event in zip(self._sources, asked, strict=True)
        ]
        asking.append(asyncio.create_task(self._say_when_all_are(asked), name="all sources of tools"))
        try:
            while True:
                yield await self._found.get()
        finally:
            for task in asking:
                task.cancel()

    async def _say_when_all_are(self, asked: Sequence[asyncio.Event]) -> None:
        until = asyncio.get_running_loop().time() + self._timeout_s
        for source, event in zip(self._sources, asked, strict=True):
            try:
                async with asyncio.timeout_at(until):
                    await event.wait()
            except TimeoutError:
                logger.warning(
                    "the tools of %s are not known: it has not answered for %.0f s; other tools run",
                    source.name,
                    self._timeout_s,
                )
        self._found.put_nowait([])

    async def _ask(self, source: ToolSource, asked: asyncio.Event) -> None:
        """Asks until the source ends on its own."""
        delay = self._backoff.first
        usable = Usable(source, self._lookup)

        async def take() -> None:
            nonlocal delay
            async for definitions in source.definitions():
                logger.info("%s has %d tools", source.name, len(definitions))
                if kept := usable.of(definitions):
                    self._found.put_nowait(kept)
                asked.set()
                delay = self._backoff.first

        while True:
            try:
                await contained(take())
            except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
                reason = failure_of(error, "not_listed").message
                logger.warning(
                    "the tools of %s are not known, asking again in %.0f s; other tools run: %s",
                    source.name,
                    delay,
                    reason,
                )
                asked.set()
                await asyncio.sleep(delay)
                delay = min(2 * delay, self._backoff.most)
            else:
                asked.set()
                return

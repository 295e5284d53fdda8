"""Asks the sources of tools which tools they have, again and again where one is not reached."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.sdk import ToolDefinition, ToolSource, failure_of

logger: Final = logging.getLogger(__name__)

Found = Sequence[ToolDefinition]


@dataclass(frozen=True)
class Backoff:
    """Seconds until a source is asked again; they double each time."""

    first: float = 1.0
    most: float = 60.0


class Listing:
    """The tools of several sources, which are asked side by side."""

    def __init__(self, sources: Sequence[ToolSource], backoff: Backoff | None = None) -> None:
        self._sources = sources
        self._backoff = backoff or Backoff()
        self._found: asyncio.Queue[Found] = asyncio.Queue()

    async def found(self) -> AsyncGenerator[Found, None]:
        """Definitions as sources name them. The first item comes once each source has named its tools or failed."""
        asked = [asyncio.Event() for _ in self._sources]
        asking = [
            asyncio.create_task(self._ask(source, event), name=f"tools of {source.name}")
            for source, event in zip(self._sources, asked, strict=True)
        ]
        try:
            for event in asked:
                await event.wait()
            yield [one for _ in range(self._found.qsize()) for one in self._found.get_nowait()]
            while True:
                yield await self._found.get()
        finally:
            for task in asking:
                task.cancel()

    async def _ask(self, source: ToolSource, asked: asyncio.Event) -> None:
        """Asks until the source ends on its own."""
        delay = self._backoff.first
        while True:
            try:
                async for definitions in source.definitions():
                    logger.info("%s has %d tools", source.name, len(definitions))
                    self._found.put_nowait(definitions)
                    asked.set()
                    delay = self._backoff.first
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

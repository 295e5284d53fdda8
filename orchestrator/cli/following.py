"""Showing a session while it goes on: its events, and what its tools and models do in between."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestrator.client import Handle
    from orchestrator.messages.base import Event

logger: Final = logging.getLogger(__name__)


@asynccontextmanager
async def progress_shown(handle: "Handle", show: "Callable[[Event], None]") -> AsyncIterator[None]:
    """Shows the session's progress beside the block, which never waits for it."""

    async def run() -> None:
        async for event in handle.progress():
            show(event)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        # What is only shown fails nothing.
        if not task.cancelled() and (error := task.exception()):
            logger.warning("progress of session %s was not shown", handle.correlation_id, exc_info=error)


class TerminalWriter:
    """Writes events and what is reported in between to a terminal, one below the other."""

    def __init__(self, write_event: "Callable[[Event], None]") -> None:
        from orchestrator.cli.live import LiveText

        self._write_event = write_event
        self._live = LiveText()

    def event(self, event: "Event") -> None:
        self._live.pause()
        self._write_event(event)

    def progress(self, report: "Event") -> None:
        from orchestrator.messages.events import ModelProgressed

        if isinstance(report, ModelProgressed):
            self._live.show(report)
        else:
            self.event(report)

    def end(self) -> None:
        self._live.pause()

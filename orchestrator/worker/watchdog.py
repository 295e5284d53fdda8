"""Watches the event loop that all handlers of a process share: names who blocks it, and with what."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.errors import FatalError
from orchestrator.sdk.activities import activity_of

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watching:
    """How the event loop is watched; times in seconds."""

    every: float = 1.0
    """Between two looks at the loop."""
    blocked_after: float = 2.0
    """From when on a loop that does not react counts as blocked, and is logged. Then again after twice the time."""
    failed_after: float = 300.0
    """From when on the process counts as failed: as long as Kafka waits for a consumer that does not poll."""


class Watchdog:
    """A thread beside the loop's. It cannot see what blocks while that is C code which keeps the interpreter's lock;
    then it only says for how long, afterwards."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loop_thread: threading.Thread,
        watching: Watching | None = None,
    ) -> None:
        self.failure: FatalError | None = None
        """Why the process has to be restarted: the loop has been blocked for too long."""
        self._loop = loop
        self._loop_thread = loop_thread
        self._watching = watching or Watching()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._watching.every) and self._loop_thread.is_alive():
            reacted = threading.Event()
            try:
                self._loop.call_soon_threadsafe(reacted.set)
            except RuntimeError:
                return  # the loop is closed, which its thread reports
            self._await(reacted, time.monotonic())

    def _await(self, reacted: threading.Event, asked_at: float) -> None:
        """Returns when the loop has reacted, or the process stops. Reports while it has not."""
        wait = self._watching.blocked_after
        who = ""
        while not reacted.wait(wait):
            if self._stop.is_set() or not self._loop_thread.is_alive():
                return
            blocked = time.monotonic() - asked_at
            who = self._report(blocked)
            if blocked >= self._watching.failed_after and self.failure is None:
                self.failure = FatalError(
                    f"{who} has blocked the event loop for {blocked:.0f} s: no handler can run"
                )
                logger.critical("%s; restart the process", self.failure)
            wait = min(2 * wait, max(self._watching.failed_after - blocked, self._watching.blocked_after))
        blocked = time.monotonic() - asked_at
        if blocked >= self._watching.blocked_after:
            logger.warning("the event loop runs again: %s blocked it for %.1f s", who or "something", blocked)

    def _report(self, blocked: float) -> str:
        """Logs who blocks the loop and where; returns who."""
        task = asyncio.current_task(self._loop)
        who = activity_of(task) if task is not None else "a callback"
        frame = sys._current_frames().get(self._loop_thread.ident or 0)  # noqa: SLF001 - there is no other way
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        logger.error(
            "%s has blocked the event loop for %.1f s, and no other handler of this process runs meanwhile: let it do "
            "blocking work without `async`, or in asyncio.to_thread\n%s",
            *(who, blocked, stack),
        )
        return who

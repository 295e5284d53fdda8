"""Supervising one run: its timeout and its heartbeats."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import Activity, Watched

logger: Final = logging.getLogger(__name__)


LATE_S: Final = 0.25
"""From when on the event loop was blocked, and not only busy, seconds: that long it came late to a run."""


class RunTimedOut(Exception):  # noqa: N818 - it says what happened
    """The run took longer than its timeout. `blocked_s` is for how long it kept the event loop, if beyond that."""

    def __init__(self, blocked_s: float = 0.0) -> None:
        super().__init__()
        self.blocked_s = blocked_s


@dataclass(frozen=True)
class Rhythm:
    """When heartbeats of a run are sent, seconds since its start. Short runs, which most are, send none."""

    first: float = 1.0
    every: float = 10.0


async def supervised(
    run: Coroutine[Any, Any, Any],
    name: str,
    timeout_s: float,
    heartbeat: Callable[[float], Awaitable[None]],
    rhythm: Rhythm,
) -> Any:
    """What a run returns within `timeout_s`. Meanwhile calls `heartbeat(elapsed seconds)` by `rhythm`.

    Raises `RunTimedOut`, or what the run raises. Does not wait for a run that timed out or was cancelled. A run that
    blocks the event loop beyond its timeout has timed out, even if it returns. The time for which another one did so
    counts for none: they could not go on.
    """
    activity = Activity(name)
    loop = asyncio.get_running_loop()
    started = loop.time()
    next_heartbeat = rhythm.first
    task = asyncio.create_task(Watched(run, activity))
    # If the caller is cancelled just as the run fails, nothing retrieves the failure.
    task.add_done_callback(_retrieved)
    sending: asyncio.Future[None] | None = None
    try:
        while not task.done():
            elapsed = loop.time() - started
            if elapsed >= timeout_s:
                raise RunTimedOut(_blocked(activity, timeout_s))
            if elapsed >= next_heartbeat:
                # Not awaited: a broker that does not respond must not extend the timeout.
                if sending is None or sending.done():
                    sending = asyncio.ensure_future(_sent(heartbeat, elapsed))
                next_heartbeat += rhythm.every
            wait = max(0.0, min(timeout_s, next_heartbeat) - elapsed)
            await asyncio.wait({task}, timeout=wait)
            late = loop.time() - started - elapsed - wait
            if late >= LATE_S and activity.longest_s < late:
                # And some more: when the block began it was not over yet.
                started += late + LATE_S
        if blocked := _blocked(activity, timeout_s):
            raise RunTimedOut(blocked)
        return task.result()
    finally:
        if sending is not None:
            sending.cancel()
        if not task.done():
            task.cancel()


def _blocked(activity: Activity, timeout_s: float) -> float:
    """For how long the run kept the event loop, seconds, if it was beyond its timeout; otherwise 0."""
    return activity.longest_s if activity.longest_s >= timeout_s else 0.0


async def _sent(heartbeat: Callable[[float], Awaitable[None]], elapsed: float) -> None:
    try:
        await heartbeat(elapsed)
    except Exception:
        # The run continues: a lost heartbeat delays nothing.
        logger.warning("heartbeat not sent", exc_info=True)


def _retrieved(task: "asyncio.Future[Any]") -> None:
    """Retrieves the exception of a run that nothing awaits, or asyncio would log that it was never retrieved."""
    if not task.cancelled():
        task.exception()

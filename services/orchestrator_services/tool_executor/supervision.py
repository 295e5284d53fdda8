"""Supervising one run: its timeout and its heartbeats."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import PermanentError

logger: Final = logging.getLogger(__name__)


class RunTimedOut(Exception):  # noqa: N818 - it says what happened
    """The run took longer than its timeout."""


@dataclass(frozen=True)
class Rhythm:
    """When heartbeats of a run are sent, seconds since its start. Short runs, which most are, send none."""

    first: float = 1.0
    every: float = 10.0


async def supervised(
    run: Coroutine[Any, Any, Any],
    timeout_s: float,
    heartbeat: Callable[[float], Awaitable[None]],
    rhythm: Rhythm,
) -> Any:
    """What a run returns within `timeout_s`. Meanwhile calls `heartbeat(elapsed seconds)` by `rhythm`.

    Raises `RunTimedOut`, or what the run raises. Does not wait for a run that timed out or was cancelled.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    next_heartbeat = rhythm.first
    task = asyncio.ensure_future(run)
    # If the caller is cancelled just as the run fails, nothing retrieves the failure.
    task.add_done_callback(_retrieved)
    sending: asyncio.Future[None] | None = None
    try:
        while not task.done():
            elapsed = loop.time() - started
            if elapsed >= timeout_s:
                raise RunTimedOut
            if elapsed >= next_heartbeat:
                # Not awaited: a broker that does not respond must not extend the timeout.
                if sending is None or sending.done():
                    sending = asyncio.ensure_future(_sent(heartbeat, elapsed))
                next_heartbeat += rhythm.every
            await asyncio.wait({task}, timeout=max(0.0, min(timeout_s, next_heartbeat) - elapsed))
        return _result(task)
    finally:
        if sending is not None:
            sending.cancel()
        if not task.done():
            task.cancel()


async def _sent(heartbeat: Callable[[float], Awaitable[None]], elapsed: float) -> None:
    try:
        await heartbeat(elapsed)
    except Exception:
        # The run continues: a lost heartbeat delays nothing.
        logger.warning("heartbeat not sent", exc_info=True)


def _result(task: "asyncio.Future[Any]") -> Any:
    if task.cancelled():
        raise PermanentError("the tool cancelled itself", code="tool_error")
    return task.result()


def _retrieved(task: "asyncio.Future[Any]") -> None:
    """Retrieves the exception of a run that nothing awaits, or asyncio would log that it was never retrieved."""
    if not task.cancelled():
        task.exception()

"""Watching over one run: its time limit and its signs of life."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import PermanentError

logger: Final = logging.getLogger(__name__)


class TimeLimitReached(Exception):  # noqa: N818 - it says what happened
    """The run took longer than it may."""


@dataclass(frozen=True)
class Rhythm:
    """When a run shows signs of life, in seconds since its start. Short runs, which most are, show none."""

    first: float = 1.0
    every: float = 10.0


async def supervised(
    run: Coroutine[Any, Any, Any],
    limit: float,
    sign_of_life: Callable[[float], Awaitable[None]],
    rhythm: Rhythm,
) -> Any:
    """What a run returns within `limit` seconds; meanwhile `sign_of_life(elapsed seconds)` is called.

    Raises `TimeLimitReached`, or what the run raises. A run that is late or cancelled is not waited for.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    next_sign = rhythm.first
    task = asyncio.ensure_future(run)
    # Who is cancelled in the moment in which the run fails does not get to see the failure.
    task.add_done_callback(_retrieved)
    sign: asyncio.Future[None] | None = None
    try:
        while not task.done():
            elapsed = loop.time() - started
            if elapsed >= limit:
                raise TimeLimitReached
            if elapsed >= next_sign:
                # Not awaited: a broker that does not answer must not stretch the time limit.
                if sign is None or sign.done():
                    sign = asyncio.ensure_future(_shown(sign_of_life, elapsed))
                next_sign += rhythm.every
            await asyncio.wait({task}, timeout=max(0.0, min(limit, next_sign) - elapsed))
        return _result(task)
    finally:
        if sign is not None:
            sign.cancel()
        if not task.done():
            task.cancel()


async def _shown(sign_of_life: Callable[[float], Awaitable[None]], elapsed: float) -> None:
    try:
        await sign_of_life(elapsed)
    except Exception:
        # The run goes on: a heartbeat that is lost delays nothing, one that stops the run would.
        logger.warning("a sign of life could not be sent", exc_info=True)


def _result(task: "asyncio.Future[Any]") -> Any:
    if task.cancelled():
        raise PermanentError("the tool cancelled itself", code="tool_error")
    return task.result()


def _retrieved(task: "asyncio.Future[Any]") -> None:
    """Looks at the end of a run that nobody waits for, or asyncio would complain that nobody did."""
    if not task.cancelled():
        task.exception()

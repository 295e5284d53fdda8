"""Blocking functions, run in threads outside the event loop."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any


async def in_thread(function: Callable[[], Any], name: str) -> Any:
    """What a blocking function returns, run in a thread of its own.

    Not a thread of a pool: a function that never returns cannot be stopped. It must not occupy a pool's thread
    forever, nor keep the process from ending, as a pool's threads do. A thread takes about 50 us to start.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    variables = copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result: Any = None
        failed: BaseException | None = None
        try:
            result = variables.run(function)
        except StopIteration as error:
            failed = RuntimeError("StopIteration was raised")
            failed.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything
            failed = error
        try:
            loop.call_soon_threadsafe(settle, result, failed)
        except RuntimeError:
            # The loop is closed: nothing waits for the result.
            return

    Thread(target=work, name=name, daemon=True).start()
    return await future

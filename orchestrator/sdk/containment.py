"""Containing what plug-ins raise: what leaves is an `Exception`, or a cancellation that came from outside."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class PluginRaised(Exception):  # noqa: N818 - it says what happened
    """A plug-in raised what is not an `Exception`: `SystemExit`, `KeyboardInterrupt`, a panic of a native extension.

    asyncio lets some of these through every handler, up to the end of the event loop. Its cause is the original.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__} was raised")
        self.__cause__ = error


def as_exception(error: BaseException) -> Exception:
    """The exception, or `PluginRaised` in its place."""
    return error if isinstance(error, Exception) else PluginRaised(error)


async def contained(doing: Awaitable[T]) -> T:
    """What a plug-in's function returns. Use it wherever a service awaits code of a plug-in.

    Raises the plug-in's exception if it is an `Exception`, and `PluginRaised` for any other, such as `SystemExit` or
    a `CancelledError` of its own. A cancellation of the task that awaits this passes unchanged.
    """
    task = asyncio.current_task()
    try:
        return await doing
    except Exception:
        raise
    except BaseException as error:
        if is_from_outside(error, task):
            raise
        raise PluginRaised(error) from error


def is_from_outside(error: BaseException, task: "asyncio.Task[Any] | None") -> bool:
    """Whether the code that runs in `task` is ended by this exception, rather than having raised it: the task was
    cancelled, or is thrown away unfinished (`GeneratorExit`)."""
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    if isinstance(error, GeneratorExit):
        return task is None or not _is_running(task)
    return False


def _is_running(task: "asyncio.Task[Any]") -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False

"""What a handler does on the event loop, with all tasks that it starts: who it is, and how long it kept the loop."""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, TypeVar

from orchestrator.sdk.containment import PluginRaised
from orchestrator.sdk.failures import described

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")


class Activity:
    """One handler at work."""

    __slots__ = ("longest_s", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        """Who it is, for logs, such as `tool stock.level`."""
        self.longest_s = 0.0
        """The longest time for which it kept the event loop without an `await` that waits, seconds."""


_current: Final[ContextVar[Activity | None]] = ContextVar("activity", default=None)


def begin(activity: Activity) -> None:
    """From here on, tasks that the current task starts belong to the activity."""
    _current.set(activity)


class Watched(Coroutine[Any, Any, T]):
    """A coroutine whose steps are timed for its activity. Run it as a task.

    `SystemExit` and `KeyboardInterrupt` leave it as `PluginRaised`: out of a task they would end the event loop.
    """

    def __init__(self, inner: Coroutine[Any, Any, T], activity: Activity) -> None:
        self.activity = activity
        self._inner = inner
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", "coroutine")

    def __getattr__(self, name: str) -> Any:
        """What libraries ask coroutines of tasks, such as `cr_running`: anyio cancels only what has begun."""
        return getattr(self._inner, name)

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, *raised: Any) -> Any:
        return self._step(self._inner.throw, *raised)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return (yield from self._inner.__await__())

    def _step(self, step: Any, *given: Any) -> Any:
        if _current.get() is not self.activity:
            _current.set(self.activity)
        started = perf_counter()
        try:
            return step(*given)
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error(
                "%s raised %s, which ends nothing but its task",
                self.activity.name,
                described(error),
                exc_info=error,
            )
            raise PluginRaised(error) from error
        finally:
            self.activity.longest_s = max(self.activity.longest_s, perf_counter() - started)


def task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    """Makes the tasks of an event loop that runs handlers: what they start belongs to their activity."""
    activity = _current.get()
    if activity is not None and not isinstance(coroutine, Watched) and asyncio.iscoroutine(coroutine):
        coroutine = Watched(coroutine, activity)
    return asyncio.Task(coroutine, loop=loop, **options)


def activity_of(task: "asyncio.Task[Any]") -> str:
    """Who a task belongs to."""
    coroutine = task.get_coro()
    return coroutine.activity.name if isinstance(coroutine, Watched) else task.get_name()

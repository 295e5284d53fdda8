"""Calls of a value store, each on a thread of its own kind and with a deadline."""

import asyncio
import concurrent.futures
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Final, NoReturn, TypeVar

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_AT_ONCE: Final = 32
"""Calls that run at once; others wait for them."""
MOST_LEFT: Final = 128
"""Threads that hang: no further calls are made while there are so many, each keeps its memory."""


class ValueThreads:
    """Makes blocking calls of a value store. Any thread may call.

    A call that is not over by its deadline raises `UnavailableError`. Its thread is left behind, and another takes
    its place: a thread cannot be stopped, and a mount or a service that does not respond would else take the
    threads of all other values. They are daemon threads, and none of those of `asyncio.to_thread`: what hangs in the
    store stops nothing else, and keeps no process from ending.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running: set[Future[Any]] = set()
        self._left: set[Future[Any]] = set()
        self._threads = 0
        """Those that take calls: all but the ones that were left behind."""

    async def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work` returns or raises."""
        future = self._submit(work)
        here = asyncio.wrap_future(future)
        try:
            await asyncio.wait({here}, timeout=deadline.remaining())
            return here.result() if here.done() else _late()
        finally:
            # What it raises later is nobody's.
            here.cancel()
            self._leave(future)

    def wait(self, work: Callable[[], T], deadline: Deadline) -> T:
        """As `run`; the calling thread waits."""
        future = self._submit(work)
        try:
            concurrent.futures.wait({future}, timeout=deadline.remaining())
            return future.result() if future.done() else _late()
        finally:
            self._leave(future)

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        with self._lock:
            if len(self._left) >= MOST_LEFT:
                raise UnavailableError(
                    f"the value store does not respond: {len(self._left)} calls have not returned, and no others "
                    "are made until some do"
                )
            self._waiting.append((future, work))
            self._start_thread()
            if not self._threads:
                self._waiting.pop()
                raise UnavailableError(
                    "the value store cannot be used: this process may start no more threads"
                )
        return future

    def _start_thread(self) -> None:
        """Starts one if there are calls for it. Where none may be started, calls wait for those that there are."""
        if self._threads < min(MOST_AT_ONCE, len(self._running) + len(self._waiting)):
            with suppress(RuntimeError):
                Thread(target=self._work, name="values", daemon=True).start()
                self._threads += 1

    def _leave(self, future: "Future[Any]") -> None:
        """Nobody waits for it any more: it is forgotten if it has not begun, and its place is free if it has."""
        if future.done() or future.cancel():
            return
        with self._lock:
            if future in self._running:
                self._running.remove(future)
                self._left.add(future)
                self._threads -= 1
                self._start_thread()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            _make(*call)
            if not self._returned(call[0]):
                return

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self._waiting:
                self._threads -= 1
                return None
            call = self._waiting.popleft()
            self._running.add(call[0])
            return call

    def _returned(self, future: "Future[Any]") -> bool:
        """Whether its thread is still one that takes calls."""
        with self._lock:
            stays = future in self._running
            self._running.discard(future)
            self._left.discard(future)
        return stays


def _late() -> NoReturn:
    logger.warning("a call of the value store has not returned in time")
    raise UnavailableError("the value store does not respond: a call has not returned in time")


def _make(future: "Future[Any]", work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        future.set_exception(error)
    else:
        future.set_result(result)

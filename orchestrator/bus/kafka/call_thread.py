"""Calls that may never return, made in a thread that can be abandoned."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

_NAME: Final = "kafka-calls"


class CallTimeoutError(Exception):
    """The call has not returned in time, and its thread is abandoned."""


class CallThread:
    """Makes calls one after another in a thread of its own. Used by one thread.

    After `CallTimeoutError` it cannot be used again; its thread ends with the call, if that ever returns. The
    thread is a daemon, so the process may end first.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, attempt: Callable[[], None], timeout_s: float) -> None:
        """Raises what the call raises, and `CallTimeoutError`."""
        if self._thread is None:
            queues = (self._calls, self._outcomes)
            self._thread = threading.Thread(target=_make_calls, args=queues, name=_NAME, daemon=True)
            self._thread.start()
        self._calls.put(attempt)
        try:
            error = self._outcomes.get(timeout=timeout_s)
        except Empty:
            raise CallTimeoutError from None
        if error is not None:
            raise error

    def close(self) -> None:
        """Ends the thread once its call has returned."""
        self._calls.put(None)


def _make_calls(
    calls: "SimpleQueue[Callable[[], None] | None]", outcomes: "SimpleQueue[BaseException | None]"
) -> None:
    while (attempt := calls.get()) is not None:
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that requested the call
            outcomes.put(error)
        else:
            outcomes.put(None)
        # Keep nothing of a call while waiting for the next one.
        del attempt

"""Calls that may never return, made where they can be left behind."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

_NAME: Final = "aside"


class Stuck(Exception):  # noqa: N818 - named after the state it tells
    """The call has not returned in time, and nobody waits for it any more."""


class Aside:
    """Makes calls in a thread of its own, one after the other. Used by one thread.

    After `Stuck` it is of no further use; its thread ends with the call, if that ever returns. The thread is a
    daemon: a process may end meanwhile.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._answered: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, attempt: Callable[[], None], timeout_s: float) -> None:
        """Raises what the call raises, and `Stuck`."""
        if self._thread is None:
            work = (self._asked, self._answered)
            self._thread = threading.Thread(target=_answer_all, args=work, name=_NAME, daemon=True)
            self._thread.start()
        self._asked.put(attempt)
        try:
            error = self._answered.get(timeout=timeout_s)
        except Empty:
            raise Stuck from None
        if error is not None:
            raise error

    def close(self) -> None:
        """Ends the thread when its call has returned."""
        self._asked.put(None)


def _answer_all(
    asked: "SimpleQueue[Callable[[], None] | None]", answered: "SimpleQueue[BaseException | None]"
) -> None:
    while (attempt := asked.get()) is not None:
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            answered.put(error)
        else:
            answered.put(None)
        # Nothing of a call is kept while the next one is waited for.
        del attempt

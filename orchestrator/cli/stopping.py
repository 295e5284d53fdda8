"""Running until a signal asks for the end: the first one lets work finish, the second one does not."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

logger: Final = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked for the end. Passes through whatever waits, as `KeyboardInterrupt` does."""


class Running(Protocol):
    """What can be run."""

    def start(self) -> None: ...

    def wait(self) -> None: ...

    def stop(self) -> None: ...


def run_until_stopped(process: Running) -> None:
    """Returns when a signal has ended it and it has drained. Raises what ended it otherwise."""
    with stopped_by_signals():
        try:
            process.start()
            process.wait()
        except Stopped:
            logger.info("asked to end: what is running may finish")
        finally:
            process.stop()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM raises `Stopped` in the main thread and the second one ends the process
    at once, with the exit code that a shell gives to who died of it."""

    def second(number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number)

    def first(_number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, second)
        raise Stopped

    before = {each: signal.signal(each, first) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

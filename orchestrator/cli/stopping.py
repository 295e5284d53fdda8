"""Running until a signal: the first one drains the process, the second one ends it at once."""

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
    """A signal requested the end. Like `KeyboardInterrupt`, no handler of `Exception` catches it."""


class Runnable(Protocol):
    """A process to run."""

    def start(self) -> None: ...

    def wait(self) -> None: ...

    def stop(self) -> None: ...


def run_until_stopped(process: Runnable) -> None:
    """Runs the process until a signal, then drains it. Raises the error that ended it otherwise."""
    with stopped_by_signals():
        try:
            process.start()
            process.wait()
        except Stopped:
            logger.info("stopping: draining running calls")
        finally:
            process.stop()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM raises `Stopped` in the main thread. The second one ends the process at
    once, with the exit code that a shell reports for the signal."""

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

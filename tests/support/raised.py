"""Whatever code of a plug-in may raise: each entry makes one exception."""

import asyncio
from collections.abc import Callable
from typing import Final

from orchestrator.sdk import PermanentError, TransientError


class Panic(BaseException):
    """As native extensions raise them."""


class UnreadableError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class UnreadableForGoodError(Exception):
    """Ends whoever asks it what it is."""

    def __str__(self) -> str:
        raise SystemExit(9)

    __repr__ = __str__


class BareError(PermanentError):
    """Does not call its base class, so it has none of the fields."""

    def __init__(self) -> None:
        pass


class OddError(TransientError):
    """Has fields that no reply can carry."""

    def __init__(self) -> None:
        super().__init__("half \ud800", code="\udfff", retry_after_ms=2**80)


RAISED: Final[dict[str, Callable[[], BaseException]]] = {
    "an error": lambda: ValueError("no"),
    "a panic": lambda: Panic("native code"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(3),
    "GeneratorExit": GeneratorExit,
    "CancelledError": lambda: asyncio.CancelledError("mine"),
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "a group": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "a group of panics": lambda: BaseExceptionGroup("two", [Panic("a"), KeyboardInterrupt()]),
    "RecursionError": lambda: RecursionError("too deep"),
    "MemoryError": MemoryError,
    "half a character": lambda: ValueError("half \ud800"),
    "10 MB": lambda: ValueError("x" * 10_000_000),
    "unreadable": UnreadableError,
    "unreadable for good": UnreadableForGoodError,
    "without fields": BareError,
    "with odd fields": OddError,
}

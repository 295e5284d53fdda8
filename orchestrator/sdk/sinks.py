"""Sinks: subscribers that store their own positions, so that a restart repeats nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeAlias

from orchestrator.errors import ConfigurationError
from orchestrator.messages.base import Command, Event
from orchestrator.sdk.declarations import refuse

Positions: TypeAlias = Mapping[tuple[str, int], int]
"""Next offset to read, by topic (without prefix) and partition."""


_METHODS: Final = ("positions", "write", "close")


@dataclass(frozen=True)
class Delivery:
    """One message and its place in the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    message: Event | Command


class Sink(Protocol):
    """Stores batches together with their positions, in one transaction of its own.

    Called from one thread at a time. Batches of a partition come in order; a batch whose `write` raised is
    delivered again.
    """

    def positions(self) -> Positions:
        """Where to resume. Partitions that are not named are read from their beginning."""

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        """Stores the batch and the positions after it, both or neither."""

    def close(self) -> None:
        """Releases what it holds open."""


@dataclass(frozen=True)
class SinkPlugin:
    """A declared sink. `make` is called once, in the process that runs it."""

    role: ClassVar[str] = "sink"

    name: str
    pattern: str
    make: Callable[[], Sink]


def sink(name: str, pattern: str = "*") -> Callable[[Callable[[], Sink]], SinkPlugin]:
    """Declares a class, or a function without parameters that returns a `Sink`, as a sink for the messages whose
    type matches a shell pattern. Raises `ConfigurationError` for a class without the methods of a sink."""

    def declare(make: Callable[[], Sink]) -> SinkPlugin:
        try:
            if isinstance(make, type):
                require_sink(make, f"sink {name}")
        except ConfigurationError as error:
            refuse(error)
        return SinkPlugin(name, pattern, make)

    return declare


def require_sink(made: object, what: str) -> None:
    """Raises `ConfigurationError` for what lacks a method of a sink."""
    if missing := [each for each in _METHODS if not callable(getattr(made, each, None))]:
        raise ConfigurationError(
            f"{what} has no method {', '.join(missing)}: a sink has {', '.join(_METHODS)}"
        )

"""Sinks: subscribers that keep their own positions, so that a restart repeats nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from orchestrator.messages.base import Command, Event

Positions: TypeAlias = Mapping[tuple[str, int], int]
"""Next offset to read, by topic (without prefix) and partition."""


@dataclass(frozen=True)
class Delivery:
    """One message and where it lay."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    message: Event | Command


class Sink(Protocol):
    """Gets batches and stores them with their positions in one transaction of its own.

    Called from one thread at a time; a batch that raised comes again. Batches of a partition come in order.
    """

    def positions(self) -> Positions:
        """Where to go on; partitions that are not named are read from their beginning."""

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        """Stores the batch and the positions after it, both or neither."""

    def close(self) -> None:
        """Lets go of what it holds."""


@dataclass(frozen=True)
class SinkPlugin:
    """A declared sink: made once in the process that runs it."""

    role: ClassVar[str] = "sink"

    name: str
    pattern: str
    make: Callable[[], Sink]


def sink(name: str, pattern: str = "*") -> Callable[[Callable[[], Sink]], SinkPlugin]:
    """Declares a class, or a function without arguments that makes one, as a sink for matching messages."""
    return lambda make: SinkPlugin(name, pattern, make)

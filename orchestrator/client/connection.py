"""What a client talks to: a cluster, the form of its messages, and its large values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

from orchestrator.bus.codec import Codec
from orchestrator.bus.kafka import KafkaBus
from orchestrator.bus.ports import Bus
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.values import FolderValues, MessageValues
from orchestrator.sdk import Values


class ClientSettings(BusSettings):
    """An installation, as its clients need to know it."""

    values_folder: Path = Path(".data/values")
    """Where values lie that are too large to travel inside messages. Clients and services share it."""
    values_inline_bytes: Annotated[int, Field(ge=0, le=900_000)] = 32 * 1024
    """Values up to this size travel inside messages."""


class Connection(Protocol):
    """One cluster, as a process sees it."""

    @property
    def bus(self) -> Bus: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def values(self) -> Values: ...


@dataclass(frozen=True)
class Connected:
    """A connection. `close` ends what only this connection uses."""

    bus: Bus
    codec: Codec
    values: Values
    close: Callable[[], None] = lambda: None


def connect(settings: ClientSettings) -> Connected:
    """The cluster of these settings. Connects to nothing yet."""
    # The registry's client takes half a second to import, which the embedded cluster does not need.
    from orchestrator.bus.registry import RegistryIds

    ids = RegistryIds(settings)
    values = MessageValues(FolderValues(settings.values_folder), settings.values_inline_bytes)
    return Connected(KafkaBus(settings), Codec(ids), values, ids.close)

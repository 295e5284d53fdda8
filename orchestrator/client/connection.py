"""Connections of clients: a cluster, the codec of its messages, and the values of its messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Bus
from orchestrator.client.settings import ClientSettings
from orchestrator.sdk import Values


class Connection(Protocol):
    """One cluster, as a process uses it."""

    @property
    def bus(self) -> Bus: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def values(self) -> Values: ...


@dataclass(frozen=True)
class Connected:
    """A connection. `close` ends what this connection alone uses."""

    bus: Bus
    codec: Codec
    values: Values
    close: Callable[[], None] = lambda: None


def connect(settings: ClientSettings) -> Connected:
    """The cluster of these settings. Opens no network connection yet."""
    # The clients take half a second to import. Whoever only names a connection, as operations do, needs neither.
    from orchestrator.bus.avro.registry import RegistryIds
    from orchestrator.bus.kafka.bus import KafkaBus

    ids = RegistryIds(settings)
    return Connected(KafkaBus(settings), Codec(ids), settings.values(), ids.close)

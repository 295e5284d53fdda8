"""Connections of clients: a cluster, the codec of its messages, and the store of large values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field, field_validator

from orchestrator.bus.codec import Codec
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Bus
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.bus.values.stores import location_of, value_store
from orchestrator.sdk import Values


class ClientSettings(BusSettings):
    """Settings of an installation that its clients need."""

    values_url: str = ".data/values"
    """Store of values that are too large for messages: a folder, `file:///path`, or `s3://bucket/prefix`, with
    `?endpoint_url=…&region=…` where needed. Clients and services share it."""
    values_inline_bytes: Annotated[int, Field(ge=0, le=900_000)] = 32 * 1024
    """Values up to this size, in bytes, travel inside messages."""

    @field_validator("values_url")
    @classmethod
    def _valid_values_url(cls, url: str) -> str:
        location_of(url)
        return url

    def values(self) -> MessageValues:
        """The values of this installation's messages. Raises `ConfigurationError` if the store's driver is not
        installed."""
        return MessageValues(value_store(self.values_url), self.values_inline_bytes)


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
    # The registry's client takes half a second to import, which the embedded cluster does not need.
    from orchestrator.bus.avro.registry import RegistryIds

    ids = RegistryIds(settings)
    return Connected(KafkaBus(settings), Codec(ids), settings.values(), ids.close)

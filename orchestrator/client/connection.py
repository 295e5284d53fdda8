"""What a client talks to: a cluster, the form of its messages, and its large values."""

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
    """An installation, as its clients need to know it."""

    values_url: str = ".data/values"
    """Where values lie that are too large to travel inside messages: a folder, `file:///path`, or
    `s3://bucket/prefix`, with `?endpoint_url=…&region=…` if need be. Clients and services share it."""
    values_inline_bytes: Annotated[int, Field(ge=0, le=900_000)] = 32 * 1024
    """Values up to this size travel inside messages."""

    @field_validator("values_url")
    @classmethod
    def _valid_values_url(cls, url: str) -> str:
        location_of(url)
        return url

    def values(self) -> MessageValues:
        """The values of this installation's messages. Raises `ConfigurationError` for what is not installed."""
        return MessageValues(value_store(self.values_url), self.values_inline_bytes)


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
    from orchestrator.bus.avro.registry import RegistryIds

    ids = RegistryIds(settings)
    return Connected(KafkaBus(settings), Codec(ids), settings.values(), ids.close)

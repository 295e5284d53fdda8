"""Settings that clients of an installation share with its services."""

from typing import Annotated

from pydantic import Field, field_validator

from orchestrator.bus.settings import BusSettings
from orchestrator.bus.values.message_values import INLINE_LIMIT, MessageValues
from orchestrator.bus.values.stores import location_of, value_store


class ClientSettings(BusSettings):
    """Settings of an installation that its clients need."""

    values_url: str = ".data/values"
    """Store of values that are too large for messages: a folder, `file:///path`, or `s3://bucket/prefix`, with
    `?endpoint_url=…&region=…` where needed. Clients and services share it."""
    values_inline_bytes: Annotated[int, Field(ge=0, le=900_000)] = INLINE_LIMIT
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

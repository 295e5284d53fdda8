"""Builds the ports of a cluster from settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.app.settings import Settings
from orchestrator.bus.avro.schema_ids import CatalogueIds, SchemaIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Bus
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.telemetry.metrics import ProcessMetrics

# The embedded broker responds to a fetch after the full wait, not when a record arrives.
_EMBEDDED_READING: Final[dict[str, Any]] = {"fetch.wait.max.ms": 5}


@dataclass(frozen=True)
class Wiring:
    """One cluster as a process uses it: a `client.Connection` with its settings."""

    settings: Settings
    bus: Bus
    codec: Codec
    values: MessageValues
    metrics: ProcessMetrics = field(default_factory=ProcessMetrics)
    close: Callable[[], None] = lambda: None
    """Closes connections to the registry. Clients of the bus are closed by their callers."""


def wire(settings: Settings) -> Wiring:
    """The cluster of these settings. Does not connect yet."""
    # The registry's client takes half a second to import, which the embedded cluster does not need.
    from orchestrator.bus.avro.registry import RegistryIds

    ids = RegistryIds(settings.bus)
    return _wired(settings, ids, close=ids.close)


def wire_embedded(settings: Settings) -> Wiring:
    """The embedded cluster, without a registry: schema ids come from the catalogue."""
    return _wired(settings, CatalogueIds(), _EMBEDDED_READING)


def _wired(
    settings: Settings,
    ids: SchemaIds,
    reading: dict[str, Any] | None = None,
    close: Callable[[], None] = lambda: None,
) -> Wiring:
    metrics = ProcessMetrics()
    bus = KafkaBus(settings.bus, reading, metrics)
    codec = Codec(ids, signatures=settings.signatures)
    return Wiring(settings, bus, codec, settings.values(), metrics, close)

"""From settings to the ports that everything is built on."""

from dataclasses import dataclass

from orchestrator.app.settings import Settings
from orchestrator.bus.codec import Codec
from orchestrator.bus.kafka import KafkaBus
from orchestrator.bus.ports import Bus
from orchestrator.bus.registry import CatalogueIds, RegistryIds, SchemaIds
from orchestrator.bus.values import FolderValues, MessageValues
from orchestrator.client import Client


@dataclass(frozen=True)
class Wiring:
    """One cluster, as a process sees it."""

    settings: Settings
    bus: Bus
    codec: Codec
    values: MessageValues


def connect(settings: Settings, ids: SchemaIds | None = None) -> Wiring:
    """The cluster of these settings. Connects to nothing yet. `ids` replaces the registry."""
    return Wiring(
        settings,
        KafkaBus(settings.bus),
        Codec(ids or RegistryIds(settings.bus)),
        MessageValues(FolderValues(settings.values_folder), settings.values_inline_bytes),
    )


def connect_embedded(settings: Settings) -> Wiring:
    """The embedded cluster: there is no registry, the catalogue numbers the schemas."""
    return connect(settings, CatalogueIds())


def client(wiring: Wiring) -> Client:
    return Client(wiring)

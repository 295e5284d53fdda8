"""Comparing the registry with the schemas of this version, and registering them."""

from orchestrator import schemas
from orchestrator.bus.avro.registry import registry_client
from orchestrator.bus.settings import BusSettings
from orchestrator.schemas import Applied, Finding


def apply_schemas(settings: BusSettings) -> tuple[Applied, ...]:
    """Registers the schemas that the registry lacks.

    Raises `ConfigurationError` that names every incompatible subject, and `UnavailableError`.
    """
    with registry_client(settings) as client:
        return schemas.apply(client, settings)


def check_schemas(settings: BusSettings) -> tuple[Finding, ...]:
    """Every difference between the registry and this version. Raises `UnavailableError`."""
    with registry_client(settings) as client:
        return schemas.check(client, settings)

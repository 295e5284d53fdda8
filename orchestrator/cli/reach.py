"""Checks that servers accept connections, before a command uses them, so that a wrong address fails at once.

A Kafka client retries forever, and reports only after its timeout that nothing listens at an address.
"""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from orchestrator.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from orchestrator.bus.settings import BusSettings

_KAFKA_PORT: Final = 9092
_PORTS: Final = {"http": 80, "https": 443}
_HELP: Final = "`orchestrator dev` starts both on this machine"

Address = tuple[str, int]


def require_servers(
    settings: "BusSettings", timeout_s: float, *, kafka: bool = True, registry: bool = True
) -> None:
    """Raises `UnavailableError` if no broker, or no registry, accepts a connection in time."""
    brokers = _each(_broker, settings.bootstrap_servers) if kafka else []
    registries = _each(_registry, settings.schema_registry_url) if registry else []
    with ThreadPoolExecutor(2) as pool:
        broker = pool.submit(_refusal_of, brokers, timeout_s)
        schemas = pool.submit(_refusal_of, registries, timeout_s)
    missing = []
    if why := broker.result():
        missing.append(
            f"Kafka does not respond at {settings.bootstrap_servers} ({why}): is it running, and is "
            "--bootstrap-servers (ORCHESTRATOR_BOOTSTRAP_SERVERS) its address?"
        )
    if why := schemas.result():
        missing.append(
            f"the schema registry does not respond at {settings.schema_registry_url} ({why}): is it running, "
            "and is --schema-registry-url (ORCHESTRATOR_SCHEMA_REGISTRY_URL) its address?"
        )
    if missing:
        raise UnavailableError("\n".join([*missing, _HELP]))


def _each(address: Callable[[str], Address], listed: str) -> list[Address]:
    """The addresses of a list. Raises `ConfigurationError` for a port that is none."""
    found = []
    for one in listed.split(","):
        try:
            found.append(address(one))
        except ValueError as error:
            raise ConfigurationError(
                f"{one.strip()!r} is not an address, such as localhost:9092: {error}"
            ) from None
    return found


def _refusal_of(addresses: Iterable[Address], timeout_s: float) -> str:
    """Why no address accepts a connection; empty if one does, or without addresses."""
    reason = ""
    for host, port in addresses:
        try:
            socket.create_connection((host, port), timeout_s).close()
        except (OSError, UnicodeError) as error:
            # A host that no name can be, such as one of 300 letters, is a UnicodeError.
            reason = getattr(error, "strerror", "") or str(error)
        else:
            return ""
    return reason


def _broker(text: str) -> Address:
    # librdkafka allows a protocol in front of the host.
    parts = urlsplit(text.strip() if "://" in text else f"//{text.strip()}")
    return parts.hostname or "", parts.port or _KAFKA_PORT


def _registry(url: str) -> Address:
    parts = urlsplit(url.strip())
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]

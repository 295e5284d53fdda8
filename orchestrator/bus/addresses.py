"""Addresses of brokers and registries, as settings hold them. What is none is refused before a client tries it: clients
of Kafka take any text, and wait for a host of that name."""

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

_BROKER: Final = re.compile(r"(?:\w+://)?(?:\[([^\]]+)\]|[^\s\[\]/:@]+)(?::(\d{1,5}))?")
_LARGEST_PORT: Final = 65_535


def check_brokers(listed: str) -> None:
    """Raises `ValueError` that names the first of the addresses, separated by commas, that is none."""
    parts = [part.strip(" ") for part in listed.split(",")]
    if not any(parts):
        raise ValueError("name a broker, such as localhost:9092")
    for part in filter(None, parts):
        if not _is_broker(part):
            raise ValueError(f"{part!r:.300} is not an address, such as localhost:9092 or [::1]:9092")


def check_registries(listed: str) -> None:
    """Raises `ValueError` if one of the URLs, separated by commas, is none, or holds credentials."""
    for one in (part.strip(" ") for part in listed.split(",")):
        try:
            parts = urlsplit(one)
            is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or " " in one or not one.isprintable():
            raise ValueError("a registry's address is a URL such as http://localhost:8081")
        if parts.username or parts.password:
            raise ValueError(
                "leave credentials out of the URL: set basic.auth.user.info of schema_registry to user:password"
            )


def _is_broker(text: str) -> bool:
    found = _BROKER.fullmatch(text)
    if found is None or not text.isprintable():
        return False
    ip, port = found.groups()
    try:
        return (ip is None or bool(IPv6Address(ip))) and 0 < int(port or 1) <= _LARGEST_PORT
    except ValueError:
        return False

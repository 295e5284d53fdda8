"""Which hosts and addresses http.get may talk to."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx

from orchestrator.sdk import InvalidInput, TransientError
from orchestrator_services.tools.public_addresses import is_public
from orchestrator_services.tools.settings import PREFIX, ToolSettings

HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
DEFAULT_PORTS = {"http": 80, "https": 443}
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a host and port as text, best first; raises OSError."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses from the machine's own resolver, in its order (RFC 6724), without duplicates."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


def port_of(url: httpx.URL) -> int:
    """The port that the URL names or its scheme implies."""
    return DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def shown(url: httpx.URL) -> str:
    """The URL for people: without query, fragment and user, which may hold secrets.

    The path stays percent-encoded: decoded it might be another URL, or have line ends.
    """
    port = f":{url.port}" if url.port else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return f"{url.scheme}://{host}{port}{path}"


def parsed(text: str) -> httpx.URL:
    """The URL. Raises `InvalidInput` unless it is http or https, has a host, and has no user."""
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
        # What is not a name in an international form raises when it is shown.
        _ = url.host
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidInput("the URL is invalid: write it as https://host/path, percent-encoded") from None
    if url.scheme not in DEFAULT_PORTS or not host:
        raise InvalidInput("the URL must begin with http:// or https:// and name a host")
    if not HOST.fullmatch(host) or not 0 < port_of(url) < 65536:
        raise InvalidInput("the URL is invalid: its host or its port is not valid")
    if url.userinfo:
        raise InvalidInput("the URL must not contain a user or a password")
    return url


class AddressPolicy:
    """The allow-lists, and the rule that a host must be at a public address unless it is listed as private.

    An entry of `http_allow` is `host`, `host:port` or `*.domain` (which is not the domain itself); one
    without a port allows 80 for http and 443 for https. An entry of `http_allow_private` is an exact
    `host:port`.
    """

    def __init__(self, settings: ToolSettings, resolve: Resolver = system_resolver) -> None:
        self._public = settings.http_allow
        self._private = settings.http_allow_private
        self._resolve = resolve

    async def addresses(self, url: httpx.URL) -> Sequence[str]:
        """Where to connect for the URL. The name is resolved once, here, and every address is checked: a caller that
        connects to one of them cannot be led elsewhere by a second lookup.

        Raises `InvalidInput` for what is not allowed, `TransientError` if the name cannot be resolved.
        """
        host, port = url.raw_host.decode("ascii").lower().rstrip("."), port_of(url)
        private = _place(host, port) in self._private
        if not private and not self._lists(url.scheme, host, port):
            raise InvalidInput(
                f"{_place(host, port)} is not allowed; an operator can add it to {PREFIX}HTTP_ALLOW"
            )
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise TransientError(f"the host name {host} cannot be resolved: {error}") from None
        except UnicodeError:
            raise InvalidInput(f"{host} is not a host name") from None
        refused = [address for address in found if not private and not is_public(address)]
        if refused or not found:
            raise InvalidInput(
                f"{host} does not have a public address; "
                f"an operator can add {_place(host, port)} to {PREFIX}HTTP_ALLOW_PRIVATE"
            )
        return found

    def _lists(self, scheme: str, host: str, port: int) -> bool:
        for entry in self._public:
            name, allowed_port = _split(entry)
            if _matches(host, name) and port == (
                int(allowed_port) if allowed_port else DEFAULT_PORTS[scheme]
            ):
                return True
        return False


def _matches(host: str, name: str) -> bool:
    """Whether an entry's name is the host, or `*.` and a domain above the host."""
    if not name.startswith("*."):
        return host == name
    domain = name[1:]
    return host.endswith(domain) and host != domain


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(entry: str) -> tuple[str, str]:
    """Name and port of an entry; '' for no port. An IPv6 address with a port is in brackets."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""

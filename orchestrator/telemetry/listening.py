"""Sockets that listen, for IPv4 and IPv6."""

import contextlib
import errno
import socket
from typing import Any, Final

EVERYWHERE: Final = "::"
"""Every address of this machine, of IPv6 and of IPv4."""
_LOOPBACKS: Final = ("127.0.0.1", "::1")
_NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


def listening(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of a host, all on one port; port 0 picks a free one.

    `::` is both IPv4 and IPv6, also where the machine has only the former; `localhost` is both loopbacks. Raises
    `OSError` if the port is in use, or the host is not of this machine.
    """
    if host == EVERYWHERE:
        return [_everywhere(port)]
    # Not every machine's resolver knows both loopbacks by this name.
    names = _LOOPBACKS if host == "localhost" else (host,)
    found = [one for name in names for one in _addresses(name, port)]
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            chosen = opened[0].getsockname()[1] if opened else port
            try:
                place = (str(address[0]), chosen, *address[2:])
                opened.append(socket.create_server(place, family=family))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = error
    except OSError:
        for one in opened:
            one.close()
        raise
    if missing is not None and not opened:
        raise missing
    return opened


def _addresses(name: str, port: int) -> list[Any]:
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


def _everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server((EVERYWHERE, port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port))  # noqa: S104 - it was asked for

"""Ports of 127.0.0.1 that stay ours while their servers stop and restart."""

import random
import socket
import sys
from types import TracebackType
from typing import Self

from orchestrator.errors import UnavailableError

# Below the range that Linux (32768) and macOS (49152) use for outgoing connections, so that no client takes a port
# that is remembered while its server is down.
_FIRST, _LAST = 20000, 29999
_TRIES = 200


class PortLease:
    """A port that is bound but not listened on, so that no other program gets it.

    The server binds it too: Linux allows that if both set SO_REUSEADDR, as Java's servers do. Elsewhere the port
    is released at once, and merely unlikely to be taken.
    """

    def __init__(self, holder: socket.socket) -> None:
        self.port: int = holder.getsockname()[1]
        self._holder = holder
        if sys.platform != "linux":
            self._holder.close()

    def release(self) -> None:
        self._holder.close()


def lease_port(number: int) -> PortLease:
    """Lease this port. Raises `UnavailableError` if a server listens on it."""
    holder = socket.socket()
    try:
        # Connections of the server's last run may still be in TIME_WAIT.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", number))
    except OSError as error:
        holder.close()
        raise UnavailableError(
            f"port {number} of 127.0.0.1 is taken ({error.strerror}): end the process that uses it"
        ) from error
    return PortLease(holder)


def lease_free_port() -> PortLease:
    """Lease a port that no process has bound, listening or not."""
    for _ in range(_TRIES):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", random.randint(_FIRST, _LAST)))  # noqa: S311 - no secret
        except OSError:
            holder.close()
            continue
        # Only now: set earlier, it would let us bind a port that is leased already.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return PortLease(holder)
    raise UnavailableError(f"no free port found between {_FIRST} and {_LAST} on 127.0.0.1 in {_TRIES} tries")


class PortLeases:
    """Leases of several ports that are released together."""

    def __init__(self) -> None:
        self._leases: list[PortLease] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(lease.port for lease in self._leases)

    def add(self, number: int | None = None) -> int:
        """Lease this port, or by default a free one; returns its number."""
        self._leases.append(lease_port(number) if number else lease_free_port())
        return self._leases[-1].port

    def release(self) -> None:
        for lease in self._leases:
            lease.release()
        self._leases = []

"""Ports of 127.0.0.1 that stay ours while the servers behind them come and go."""

import random
import socket
import sys
from types import TracebackType
from typing import Self

from orchestrator.errors import UnavailableError

# Below the range that Linux (32768) and macOS (49152) take ports of outgoing connections from, so that a
# port which is remembered while its server is down is not taken by somebody's client.
_FIRST, _LAST = 20000, 29999
_TRIES = 200


class PortLease:
    """A port, bound but not listened on, so that no other program is given it.

    The server binds it too: Linux allows that where both set SO_REUSEADDR, as Java's servers do. Elsewhere
    the port is let go at once and is ours by probability only.
    """

    def __init__(self, holder: socket.socket) -> None:
        self.port: int = holder.getsockname()[1]
        self._holder = holder
        if sys.platform != "linux":
            self._holder.close()

    def release(self) -> None:
        self._holder.close()


def lease_port(number: int) -> PortLease:
    """Lease this very port. Raises `UnavailableError` if a server listens on it."""
    holder = socket.socket()
    try:
        # The connections of the server's last run may still linger on it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", number))
    except OSError as error:
        holder.close()
        raise UnavailableError(
            f"Port {number} of 127.0.0.1 is taken ({error.strerror}): end its user."
        ) from error
    return PortLease(holder)


def lease_free_port() -> PortLease:
    """Lease a port that nobody has bound, not even without listening on it."""
    for _ in range(_TRIES):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", random.randint(_FIRST, _LAST)))  # noqa: S311 - no secret
        except OSError:
            holder.close()
            continue
        # Only now: with it set, another lease of the same port would not have been noticed.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return PortLease(holder)
    raise UnavailableError(f"No free port between {_FIRST} and {_LAST} on 127.0.0.1 after {_TRIES} tries.")


class PortLeases:
    """Leases of several ports that are released together, at the end of a `with` statement for example."""

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
        """Lease this very port, or a free one; returns it."""
        self._leases.append(lease_port(number) if number else lease_free_port())
        return self._leases[-1].port

    def release(self) -> None:
        for lease in self._leases:
            lease.release()
        self._leases = []

"""Ports that stay ours while their server stops and restarts."""

import socket

import pytest

from orchestrator.errors import UnavailableError
from orchestrator.local.ports import lease_free_port, lease_port


def test_leases_never_share_a_port() -> None:
    leases = [lease_free_port() for _ in range(50)]
    try:
        assert len({lease.port for lease in leases}) == 50
    finally:
        for lease in leases:
            lease.release()


def test_a_server_that_reuses_addresses_may_listen_on_a_leased_port_again_and_again() -> None:
    lease = lease_free_port()
    try:
        for _ in range(2):
            with socket.create_server(("127.0.0.1", lease.port)):
                socket.create_connection(("127.0.0.1", lease.port), timeout=5).close()
    finally:
        lease.release()


def test_a_port_is_leased_again_after_its_release() -> None:
    first = lease_free_port()
    first.release()

    again = lease_port(first.port)

    again.release()
    assert again.port == first.port


def test_a_port_with_a_listener_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(UnavailableError, match="is taken"),
    ):
        lease_port(server.getsockname()[1])

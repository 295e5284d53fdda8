"""Connections that calls share: a call that hangs on a broken one does not hold up the others."""

import asyncio

from orchestrator_services.agents.connections import Connection


class Server:
    """Whoever waits for its answer waits until it is interrupted."""

    def __init__(self) -> None:
        self.opened = 0
        self.is_open = False
        self.interrupted = asyncio.Event()

    async def __aenter__(self) -> None:
        assert not self.is_open
        self.opened += 1
        self.is_open = True

    async def __aexit__(self, *_args: object) -> None:
        self.is_open = False

    async def interrupt(self) -> None:
        self.interrupted.set()


async def test_a_call_without_an_answer_does_not_hold_up_later_ones() -> None:
    server = Server()
    connection = Connection(server, grace_s=0.01)
    waits = asyncio.Event()

    async def stuck() -> bool:
        async with connection.used() as held:
            waits.set()
            await server.interrupted.wait()
            return held.is_broken

    hanging = asyncio.create_task(stuck())
    await waits.wait()
    connection.broke()
    async with connection.used() as held:
        assert not held.is_broken

    assert await hanging
    assert server.opened == 2


async def test_what_breaks_late_leaves_the_next_connection_alone() -> None:
    connection = Connection(Server())

    async with connection.used() as first:
        first.broke()
    async with connection.used() as second:
        first.broke()
        assert not second.is_broken
        assert second is not first

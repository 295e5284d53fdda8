"""How the client and the harness are typed for programs and tests. mypy checks every `assert_type`."""

from collections.abc import AsyncGenerator
from typing import Any, assert_type

from orchestrator.client import Client, Handle, TaskError
from orchestrator.messages.types import Failure, Usage
from orchestrator.sdk.messages import Event, Message, events
from orchestrator.testing import Harness, HarnessSession


async def uses_of_a_client(client: Client) -> None:
    async with client as entered:
        assert_type(entered, Client)
        handle = await entered.submit("buy apples", agent="buyer", context={"item": "apple"})
        assert_type(handle, Handle)
        assert_type(handle.correlation_id, str)
        assert_type(await handle.accepted(timeout=5), str)
        assert_type(handle.events(), AsyncGenerator[Event, None])
        assert_type(await handle.settled(timeout=5), Event)
        try:
            assert_type(await handle.result(), Any)
        except TaskError as error:
            assert_type(error.correlation_id, str)
        await handle.cancel("not needed")
        assert_type(await entered.follow(handle.correlation_id), Handle)


async def test_a_harness_gives_sessions() -> None:
    async with Harness(installed=False) as harness:
        assert_type(harness, Harness)
        session = await harness.submit("wait", context={"a": 1})
        assert_type(session, HarnessSession)
        assert_type(session.result, Any)
        assert_type(session.failure, Failure | None)
        assert_type(session.usage, Usage)
        assert_type(session.of(events.TaskReceived), list[events.TaskReceived])
        assert_type(harness.produced, list[Message])
        await harness.advance("10s")
        assert not session.settled

"""What tools and models report while a session goes on, read apart from its events."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from orchestrator.bus.settings import BusSettings
from orchestrator.client import Client, Handle
from orchestrator.client.handle import MOST_PROGRESS
from orchestrator.client.subscriptions import Subscription
from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import TOPICS, Topic
from tests.support.samples import sample_of
from tests.support.stories import completed_triage
from tests.unit.client.conftest import PARTITIONS, Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROGRESS_PARTITIONS = 7


@pytest.fixture(scope="module")
def cluster() -> Iterator[BusSettings]:
    """Topic `progress` may have a count of partitions of its own."""
    counts = {f"agents.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}
    with EmbeddedCluster({**counts, f"agents.{Topic.PROGRESS}": PROGRESS_PARTITIONS}) as running:
        yield BusSettings(
            bootstrap_servers=running.bootstrap_servers,
            partitions=PARTITIONS,
            kafka={"fetch.wait.max.ms": SecretStr("10")},
        )


def wrote(session: str, text: str, **fields: Any) -> events.ModelProgressed:
    return sample_of(events.ModelProgressed, correlation_id=session, text=text, **fields)


async def taken(handle: Handle, count: int) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(60):
        async for event in handle.progress():
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_submitter_sees_what_models_write_and_tools_report(
    client: Client, platform: Platform
) -> None:
    for number in range(PROGRESS_PARTITIONS):
        handle = await client.submit(f"tea {number}", progress=True)
        session = handle.correlation_id
        report = sample_of(events.ToolProgressed, correlation_id=session)

        platform.writes(wrote(session, "I"), wrote("another", "session"), report, wrote(session, "look"))

        assert await taken(handle, 3) == [wrote(session, "I"), report, wrote(session, "look")]


async def test_a_follower_sees_what_is_written_from_then_on(client: Client, platform: Platform) -> None:
    submitted = await client.submit("tea")
    session = submitted.correlation_id
    platform.writes(wrote(session, "before"))
    handle = await client.follow(session)
    await handle.watch_progress()

    platform.writes(wrote(session, "after"))

    assert await taken(handle, 1) == [wrote(session, "after")]


async def test_events_do_not_wait_for_reports_that_nobody_takes(client: Client, platform: Platform) -> None:
    handle = await client.submit("tea", progress=True)
    session = handle.correlation_id
    platform.writes(*(wrote(session, str(number)) for number in range(50)))
    story = [replace(event, correlation_id=session) for event in completed_triage("any").events]
    platform.writes(*story)

    assert story[-1] in [event async for event in handle.events()]
    assert isinstance(await handle.settled(), events.TaskCompleted)


async def test_a_slow_reader_misses_the_oldest() -> None:
    subscription = Subscription("s", {}, fresh=True, settling_only=False, most=MOST_PROGRESS)
    reports: list[Event] = [wrote("s", str(number)) for number in range(MOST_PROGRESS + 5)]

    for report in reports:
        subscription.give(report)
    await asyncio.sleep(0)

    assert [await subscription.take() for _ in range(MOST_PROGRESS)] == reports[5:]

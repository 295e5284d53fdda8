"""The reader thread of a client under races and failures."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import BEGINNING, Reading, Received
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.standalone import session_partition
from orchestrator.client.follower import Follower
from orchestrator.client.subscriptions import Subscription
from orchestrator.errors import UnavailableError
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from tests.support.stories import completed_triage
from tests.unit.client.conftest import Platform


class Interrupted:
    """A consumer that does something between reading records and returning them."""

    def __init__(self, consumer: Any, before_return: Callable[[], None]) -> None:
        self._consumer = consumer
        self._before_return = before_return

    def poll(self, timeout_s: float) -> Received | None:
        received: Received | None = self._consumer.poll(timeout_s)
        if received is not None:
            self._before_return()
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


class InterruptedBus(KafkaBus):
    def __init__(self, settings: BusSettings) -> None:
        super().__init__(settings)
        self.before_return: Callable[[], None] = lambda: None

    def consumer(self, reading: Reading) -> Any:
        return Interrupted(super().consumer(reading), lambda: self.before_return())


def own_events(session: str) -> list[Event]:
    story = completed_triage(session).events
    return [event for event in story if isinstance(event, SessionEvent)]


async def taken(subscription: Subscription, count: int) -> list[Any]:
    return [await asyncio.wait_for(subscription.take(), 10) for _ in range(count)]


async def test_seeking_back_while_a_batch_is_in_flight_loses_nothing(
    cluster: BusSettings, platform: Platform
) -> None:
    history = own_events("goes back")
    home = session_partition(platform.bus, Topic.SESSIONS, history[0].correlation_id)
    bus = InterruptedBus(cluster)
    follower = Follower(bus, platform.codec, 10)

    def subscription() -> Subscription:
        return Subscription(history[0].correlation_id, {home: BEGINNING}, fresh=False, settling_only=False)

    first, late = subscription(), subscription()
    follower.follow(first)
    platform.writes(*history[:8])
    assert await taken(first, 8) == history[:8]

    # The late one subscribes after the next batch was read and before it is given out.
    bus.before_return = lambda: follower.follow(late)
    platform.writes(history[8])
    assert await taken(first, 1) == [history[8]]
    bus.before_return = lambda: None
    platform.writes(*history[9:])

    assert await taken(first, len(history) - 9) == history[9:]
    assert await taken(late, len(history)) == history
    follower.close()


async def test_a_new_session_is_seen_from_its_first_record_on(
    cluster: BusSettings, platform: Platform
) -> None:
    """The reader does not seek back for it, and its first record may be in the batch just read."""
    history = own_events("is new")
    home = session_partition(platform.bus, Topic.SESSIONS, history[0].correlation_id)
    bus = InterruptedBus(cluster)
    follower = Follower(bus, platform.codec, 10)
    start = await asyncio.wrap_future(follower.ends([home]))
    other = Subscription("another session", start, fresh=True, settling_only=False)
    new = Subscription(history[0].correlation_id, start, fresh=True, settling_only=False)
    follower.follow(other)

    def comes_once() -> None:
        bus.before_return = lambda: None
        follower.follow(new)

    bus.before_return = comes_once
    platform.writes(*history)

    assert await taken(new, len(history)) == history
    follower.close()


async def test_a_failure_ends_all_subscriptions_and_the_next_one_works(
    cluster: BusSettings, platform: Platform
) -> None:
    history = own_events("breaks")
    home = session_partition(platform.bus, Topic.SESSIONS, history[0].correlation_id)
    bus = InterruptedBus(cluster)
    follower = Follower(bus, platform.codec, 10)

    def subscription() -> Subscription:
        return Subscription(history[0].correlation_id, {home: BEGINNING}, fresh=False, settling_only=False)

    def breaks() -> None:
        raise UnavailableError("the cluster is gone")

    bus.before_return = breaks
    waiting = [subscription(), subscription()]
    for each in waiting:
        follower.follow(each)
    platform.writes(*history)
    for each in waiting:
        with pytest.raises(UnavailableError, match="the cluster is gone"):
            await asyncio.wait_for(each.take(), 10)

    bus.before_return = lambda: None
    again = subscription()
    follower.follow(again)
    assert await taken(again, len(history)) == history
    follower.close()


async def test_closing_ends_the_thread_at_once_while_nothing_is_followed(platform: Platform) -> None:
    follower = Follower(platform.bus, platform.codec, 10)
    home = session_partition(platform.bus, Topic.SESSIONS, "any")
    await asyncio.wrap_future(follower.ends([home]))
    deadline = Deadline.after(5)
    await asyncio.to_thread(follower.close)
    assert not deadline.passed

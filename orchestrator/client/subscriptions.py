"""Subscriptions to one session: which events are wanted, and those found so far."""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias

from orchestrator.bus.ports import Position
from orchestrator.errors import OrchestratorError
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.saga import settles


class Mark(Enum):
    """An item of a subscription that is not an event."""

    CAUGHT_UP = "caught up"
    """Everything that the topics held when `Follower.catch_up` was called has been given."""


Item: TypeAlias = Event | OrchestratorError | Mark


class Subscription:
    """One session, followed from given offsets on. The follower's thread fills it; the event loop that created
    it takes items.

    `fresh`: the session starts after this subscription, so the follower need not seek back. `most` bounds the items
    that wait to be taken, 0 for no bound: the oldest are dropped.
    """

    def __init__(
        self,
        correlation_id: str,
        start: Mapping[Position, int],
        *,
        fresh: bool,
        settling_only: bool,
        most: int = 0,
    ) -> None:
        self.correlation_id = correlation_id
        self.key = correlation_id.encode()
        self.next = dict(start)
        self.fresh = fresh
        self._wanted: Callable[[Event], bool] = _Settling() if settling_only else _everything
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item] = asyncio.Queue(most)

    def give(self, item: Item) -> None:
        """Called by the follower's thread."""
        if isinstance(item, Event) and not self._wanted(item):
            return
        try:
            self._loop.call_soon_threadsafe(self._put, item)
        except RuntimeError:
            # The loop is closed: nothing waits for items any more.
            self.next = {}

    def _put(self, item: Item) -> None:
        if self._items.full():
            self._items.get_nowait()
        self._items.put_nowait(item)

    async def take(self) -> Event | Mark:
        """The next item. Raises the error that ended the subscription; following again takes a new one."""
        item = await self._items.get()
        if isinstance(item, OrchestratorError):
            raise item
        return item


class _Settling:
    """Selects events that settle a session."""

    def __init__(self) -> None:
        self._has_task = False

    def __call__(self, event: Event) -> bool:
        if isinstance(event, events.TaskReceived):
            self._has_task = True
        return settles(event, has_task=self._has_task)


def _everything(_event: Event) -> bool:
    return True

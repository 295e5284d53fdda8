"""What somebody wants to see of one session, and what was found of it so far."""

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
    """Something that is no event."""

    CAUGHT_UP = "caught up"
    """Everything that lay in the topics when it was asked for has been given."""


Item: TypeAlias = Event | OrchestratorError | Mark


class Subscription:
    """One session, followed from given offsets on. Filled by the follower's thread, emptied on the event loop
    that made it.

    `fresh`: the session begins after this subscription, so nothing before is worth going back for.
    """

    def __init__(
        self, correlation_id: str, start: Mapping[Position, int], *, fresh: bool, settling_only: bool
    ) -> None:
        self.correlation_id = correlation_id
        self.key = correlation_id.encode()
        self.next = dict(start)
        self.fresh = fresh
        self._wanted: Callable[[Event], bool] = _Settling() if settling_only else _everything
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    def give(self, item: Item) -> None:
        """Called by the follower's thread."""
        if isinstance(item, Event) and not self._wanted(item):
            return
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            self.next = {}

    async def take(self) -> Event | Mark:
        """The next item. Raises the error that ended the following; then a new subscription is needed."""
        item = await self._items.get()
        if isinstance(item, OrchestratorError):
            raise item
        return item


class _Settling:
    """Lets through what settles a session."""

    def __init__(self) -> None:
        self._has_task = False

    def __call__(self, event: Event) -> bool:
        if isinstance(event, events.TaskReceived):
            self._has_task = True
        return settles(event, has_task=self._has_task)


def _everything(_event: Event) -> bool:
    return True

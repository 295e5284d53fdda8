"""A session as its submitter holds it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.bus.ports import BEGINNING, Position
from orchestrator.client.errors import error_of
from orchestrator.client.subscriptions import Mark, Subscription
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import Topic
from orchestrator.saga import settles

if TYPE_CHECKING:
    from orchestrator.client.client import Client


class Handle:
    """One session. Made by `Client.submit` and `Client.follow`; belongs to the event loop it was made on."""

    def __init__(self, client: "Client", correlation_id: str, start: Mapping[Position, int]) -> None:
        self.correlation_id = correlation_id
        self._client = client
        self._start = start
        self._settling: Subscription | None = None
        self._settled: Event | None = None
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Handle({self.correlation_id!r})"

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - what a caller expects
        """What the task returned, as plain data. Waits at most `timeout` seconds, without it until it settles.

        Raises `TaskFailedError`, `TaskRefusedError`, `TaskCancelledError` or `TaskEscalatedError` with the
        reason, `TimeoutError` when the session has not settled in time (it goes on), and `UnavailableError`.
        """
        event = await self.settled(timeout)
        if (error := error_of(event)) is not None:
            raise error
        result = event.result if isinstance(event, events.TaskCompleted) else None
        return await self._client.values.load(result)

    async def settled(self, timeout: float | None = None) -> Event:  # noqa: ASYNC109 - what a caller expects
        """The event that settled the session: it has ended, or waits for a person."""
        try:
            async with asyncio.timeout(timeout):
                return await self._wait()
        except TimeoutError:
            raise TimeoutError(
                f"session {self.correlation_id} has not settled within {timeout:g} s; it goes on, "
                "and can be followed by its id"
            ) from None

    async def events(self) -> AsyncIterator[Event]:
        """The session's events from its beginning, as they happen, until it has settled.

        Those of one topic come in order; what a service reports may come a little before or after what the
        orchestrator makes of it.
        """
        subscription = Subscription(self.correlation_id, self._start, fresh=False, settling_only=False)
        self._client.follower.follow(subscription)
        has_task = False
        while True:
            item = await subscription.take()
            if isinstance(item, Mark):
                return
            yield item
            has_task = has_task or isinstance(item, events.TaskReceived)
            if settles(item, has_task=has_task):
                # The other topic may still hold what led here.
                self._client.follower.catch_up(subscription)

    async def cancel(self, reason: str = "") -> None:
        """Asks for the session to be cancelled; returns when Kafka has the request, not when it is done."""
        await self._client.cancel(self.correlation_id, reason)

    def watch(self, *, fresh: bool) -> None:
        """Begins to wait for the end, in effect before anything that is written after this call."""
        start = {place: at for place, at in self._start.items() if place[0] is Topic.SESSIONS}
        self._settling = Subscription(self.correlation_id, start, fresh=fresh, settling_only=True)
        self._client.follower.follow(self._settling)

    async def _wait(self) -> Event:
        async with self._one_at_a_time:
            if self._settled is None:
                if self._settling is None:
                    self.watch(fresh=False)
                self._settled = await self._next_settling()
            return self._settled

    async def _next_settling(self) -> Event:
        assert self._settling is not None  # noqa: S101 - just made
        try:
            item = await self._settling.take()
        except Exception:
            # It was told why and ended; who asks again begins anew.
            self._settling = None
            raise
        assert isinstance(item, Event)  # noqa: S101 - nobody asked this one for marks
        return item


def from_beginning(positions: list[Position]) -> dict[Position, int]:
    return dict.fromkeys(positions, BEGINNING)

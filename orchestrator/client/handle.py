"""One session, as a client holds it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol

from orchestrator.bus.ports import BEGINNING, Position
from orchestrator.client.errors import error_of
from orchestrator.client.follower import Follower
from orchestrator.client.subscriptions import Mark, Subscription
from orchestrator.errors import ConfigurationError, OrchestratorError
from orchestrator.messages import events
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.saga import settles
from orchestrator.sdk import Values

MOST_PROGRESS: Final = 1_000
"""Reports that wait to be shown; a reader that is slower than all models together misses the oldest."""

logger: Final = logging.getLogger(__name__)


class SessionAccess(Protocol):
    """What a handle needs of its client."""

    @property
    def values(self) -> Values: ...

    @property
    def follower(self) -> Follower: ...

    async def cancel(self, correlation_id: str, reason: str = "", tenant: str = "default") -> None: ...

    async def follow_progress(self, subscription: Subscription) -> None:
        """Gives the subscription what is written to topic `progress` after this call."""


class Handle:
    """One session, returned by `Client.submit` and `Client.follow`. Use it on the event loop that created it.

    A task that repeats that of another session leads to that one: `correlation_id` changes to its id when the platform
    has said so, which `accepted` waits for, as all that wait for events do.
    """

    def __init__(
        self,
        access: SessionAccess,
        correlation_id: str,
        start: Mapping[Position, int],
        tenant: str | None = None,
    ) -> None:
        """`tenant`: whose session it is; None for anybody's."""
        self.correlation_id = correlation_id
        self._tenant = tenant
        self._access = access
        self._start = start
        self._settling: Subscription | None = None
        self._progress: Subscription | None = None
        self._settled: Event | None = None
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Handle({self.correlation_id!r})"

    async def accepted(self, timeout: float | None = None) -> str:  # noqa: ASYNC109 - what a caller expects
        """The id of the session that does the task, as soon as the platform has accepted or refused the task.

        Raises `TimeoutError` if it says nothing in time, and `UnavailableError`.
        """
        try:
            async with asyncio.timeout(timeout):
                async with aclosing(self.events()) as found:
                    async for event in found:
                        if isinstance(event, SessionEvent):
                            break
        except TimeoutError:
            raise TimeoutError(
                f"the task of session {self.correlation_id} was not accepted within {timeout:g} s; it waits, and "
                "can be followed by its id"
            ) from None
        return self.correlation_id

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - what a caller expects
        """The task's result as plain data. Waits until the session settles, at most `timeout` seconds.

        Raises `TaskFailedError`, `TaskRefusedError`, `TaskCancelledError` or `TaskEscalatedError` with the
        reason, `TimeoutError` if the session does not settle in time (it continues), and `UnavailableError`.
        """
        event = await self.settled(timeout)
        if self._tenant is not None and event.tenant != self._tenant:
            raise ConfigurationError(
                f"session {self.correlation_id} is of another tenant than {self._tenant!r}: its id was used before. "
                "Submit the task with a new one"
            )
        if (error := error_of(event)) is not None:
            raise error
        result = event.result if isinstance(event, events.TaskCompleted) else None
        return await self._access.values.load(result)

    async def settled(self, timeout: float | None = None) -> Event:  # noqa: ASYNC109 - what a caller expects
        """The event that settled the session: it has ended, or is escalated and waits for a person.

        Raises `TimeoutError` and `UnavailableError` as `result` does.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._wait()
        except TimeoutError:
            raise TimeoutError(
                f"session {self.correlation_id} did not settle within {timeout:g} s; it continues and can be "
                "followed by its id"
            ) from None

    async def events(self) -> AsyncGenerator[Event, None]:
        """The session's events from its beginning, as they happen, until it settles.

        Events of one topic come in order; a service's report may come shortly before or after the event with
        which the orchestrator records it.
        """
        subscription = Subscription(self.correlation_id, self._start, fresh=False, settling_only=False)
        self._access.follower.follow(subscription)
        has_task = False
        while True:
            item = await subscription.take()
            if isinstance(item, Mark):
                return
            if self._leads_elsewhere(item):
                async for event in self.events():
                    yield event
                return
            yield item
            has_task = has_task or isinstance(item, events.TaskReceived)
            if settles(item, has_task=has_task):
                # The other topic may still hold earlier events.
                self._access.follower.catch_up(subscription)

    async def watch_progress(self) -> None:
        """From now on, reports of tools and models are kept for `progress`. Raises nothing: they are for display."""
        if self._progress is not None:
            return
        subscription = Subscription(
            self.correlation_id, {}, fresh=True, settling_only=False, most=MOST_PROGRESS
        )
        try:
            await self._access.follow_progress(subscription)
        except OrchestratorError as error:
            logger.warning("progress of session %s is not shown: %s", self.correlation_id, error)
        else:
            self._progress = subscription

    async def progress(self) -> AsyncIterator[Event]:
        """What running tools report (`ToolProgressed`) and models write (`ModelProgressed`), since the first call of
        `watch_progress` or of this.

        It is read apart from `events`, which never wait for it: reports may be lost, late or repeated, and may go on
        after the session has settled. Ends only if topic `progress` cannot be read; take it in a task of its own.
        """
        await self.watch_progress()
        subscription, self._progress = self._progress, None
        while subscription is not None:
            try:
                item = await subscription.take()
            except OrchestratorError as error:
                logger.warning("progress of session %s is no longer shown: %s", self.correlation_id, error)
                return
            if isinstance(item, Event):
                yield item

    async def cancel(self, reason: str = "") -> None:
        """Requests the session's cancellation; returns when Kafka has the request, before the session ends."""
        await self._access.cancel(self.correlation_id, reason, self._tenant or "default")

    def watch(self, *, fresh: bool) -> None:
        """Subscribes to the event that settles the session.

        Sees every record written after this call; with `fresh`, none written before it.
        """
        start = {place: at for place, at in self._start.items() if place[0] is Topic.SESSIONS}
        self._settling = Subscription(self.correlation_id, start, fresh=fresh, settling_only=True)
        self._access.follower.follow(self._settling)

    async def _wait(self) -> Event:
        async with self._one_at_a_time:
            if self._settled is None:
                if self._settling is None:
                    self.watch(fresh=False)
                self._settled = await self._next_settling()
            return self._settled

    async def _next_settling(self) -> Event:
        assert self._settling is not None  # noqa: S101 - the caller has subscribed
        try:
            item = await self._settling.take()
        except Exception:
            # The subscription has ended; the next call subscribes again.
            self._settling = None
            raise
        assert isinstance(item, Event)  # noqa: S101 - `catch_up` is not called for this one
        if self._leads_elsewhere(item):
            self.watch(fresh=False)
            return await self._next_settling()
        return item

    def _leads_elsewhere(self, event: Event) -> bool:
        """Follows the session that a repeated task leads to. It has the same partitions."""
        if not isinstance(event, events.TaskRefused) or event.repeats is None:
            return False
        if event.correlation_id == self.correlation_id:
            self.correlation_id = event.repeats
            self._start = from_beginning(list(self._start))
        return True


def from_beginning(positions: list[Position]) -> dict[Position, int]:
    return dict.fromkeys(positions, BEGINNING)

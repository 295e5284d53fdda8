"""The client: submits tasks and finds sessions."""

import asyncio
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, Self

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Position, Producer
from orchestrator.bus.standalone import session_partition
from orchestrator.client.connection import Connection, connect
from orchestrator.client.dead_letters import DeadLetter, Wanted, every, newest, with_id
from orchestrator.client.follower import Follower
from orchestrator.client.handle import Handle, from_beginning
from orchestrator.client.ids import new_session, new_session_of_key
from orchestrator.client.ranges import check_ranges
from orchestrator.client.sending import send
from orchestrator.client.settings import ClientSettings
from orchestrator.client.subscriptions import Subscription
from orchestrator.clock import unix_micros
from orchestrator.errors import ConfigurationError
from orchestrator.messages import identity
from orchestrator.messages.base import Command
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.commands import CancelTask, SubmitTask
from orchestrator.messages.types import Limits

SOURCE: Final = "/client"
"""CloudEvents source of what a client writes."""
TIMEOUT_S: Final = 15.0
"""How long Kafka may take to respond before it counts as unavailable."""
FLOOR_S: Final = 60.0
"""How long the end offsets of partitions are reused as the start of new sessions: reading from an older end is
correct, but reads more."""


class Client:
    """A client of one installation, given by its settings or by an existing connection.

    Use it on one event loop; close it with `close` or `async with`. It connects on first use.
    """

    def __init__(self, platform: ClientSettings | Connection, timeout_s: float = TIMEOUT_S) -> None:
        if isinstance(platform, ClientSettings):
            connection: Connection = (own := connect(platform))
            self._disconnect = own.close
        else:
            connection = platform
            self._disconnect = _keep_open
        self.values = connection.values
        self.follower = Follower(connection.bus, connection.codec, timeout_s)
        self._bus = connection.bus
        self._codec = connection.codec
        self._timeout_s = timeout_s
        self._progress: Follower | None = None
        self._producer: Producer | None = None
        self._producer_lock = Lock()
        self._floors: dict[int, tuple[float, dict[Position, int]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def submit(
        self,
        goal: str,
        *,
        context: Mapping[str, Any] | None = None,
        agent: str = "default",
        playbook: str = "",
        key: str = "",
        tenant: str = "default",
        limits: Limits | None = None,
        labels: Mapping[str, str] | None = None,
        not_before: int | None = None,
        not_after: int | None = None,
        correlation_id: str = "",
        progress: bool = False,
    ) -> Handle:
        """Submits a task; returns when Kafka has it. Submitting the same session twice starts it once.

        The session does not start before `not_before`, and fails if it has not ended by `not_after`; both are
        Unix microseconds. With `key`, a business key of the tenant, the task is done once: when another session does
        it, or has done it within a week, the handle follows that session as soon as the platform says so.
        `correlation_id` chooses the session's id, which must never have been used. With `progress`, the handle's
        `progress` has everything from the start.

        Raises `ConfigurationError` for an id that is not a UUID and for a time, limit or text that is out of range,
        `ContractError` for a context that JSON cannot hold, and `UnavailableError` if Kafka or the registry does not
        respond.
        """
        check_ranges(limits, not_before=not_before, not_after=not_after, goal=goal, labels=labels)
        if key and correlation_id:
            raise ConfigurationError(
                "a task has a key or a correlation id, not both: a key has the session chosen"
            )
        value = None if context is None else await self.values.store(dict(context))
        session = _canonical(correlation_id) if correlation_id else await self._new_id(tenant, key)
        handle = await (self.follow(session, tenant) if correlation_id else self._new(session, tenant))
        if not correlation_id:
            handle.watch(fresh=True)
        if progress:
            await handle.watch_progress()
        command = SubmitTask(
            command_id=identity.derived_id("submit", session, new_session()),
            correlation_id=session,
            occurred_at=unix_micros(),
            agent=agent,
            tenant=tenant,
            goal=goal,
            context=value,
            key=key,
            playbook=playbook,
            limits=limits,
            labels=dict(labels or {}),
            not_before=not_before,
            not_after=not_after,
        )
        await self._send(command)
        return handle

    async def follow(self, correlation_id: str, tenant: str | None = None) -> Handle:
        """A session that any client submitted earlier. Its partitions are read from the beginning.

        With `tenant`, a session of another one is not followed. Raises `ConfigurationError` for an id that is not a
        UUID.
        """
        session = _canonical(correlation_id)
        positions = await asyncio.to_thread(self._positions, session)
        return Handle(self, session, from_beginning(positions), tenant)

    async def cancel(self, correlation_id: str, reason: str = "", tenant: str = "default") -> None:
        """Requests the cancellation of a tenant's session; returns when Kafka has the request. That of another
        tenant's session becomes a dead letter.

        Raises `ConfigurationError` for an id that is not a UUID.
        """
        session = _canonical(correlation_id)
        await self._send(
            CancelTask(
                command_id=identity.derived_id("cancel", session, new_session()),
                correlation_id=session,
                occurred_at=unix_micros(),
                tenant=tenant,
                reason=reason,
            )
        )

    async def follow_progress(self, subscription: Subscription) -> None:
        """Gives the subscription what is written to topic `progress` after this call.

        Raises `UnavailableError` if Kafka does not respond, `ConfigurationError` if it does not have the topic.
        """
        place = await asyncio.to_thread(
            session_partition, self._bus, Topic.PROGRESS, subscription.correlation_id
        )
        if self._progress is None:
            # A reader of its own: sessions do not wait for a busy, slow or missing topic.
            self._progress = Follower(self._bus, self._codec, self._timeout_s)
        subscription.next = await asyncio.wrap_future(self._progress.ends([place]))
        self._progress.follow(subscription)

    async def dead_letters(self, limit: int = 100, wanted: Wanted = every) -> list[DeadLetter]:
        """The newest `limit` dead letters that are `wanted`, newest last."""
        return await asyncio.to_thread(newest, self._bus, self._codec, limit, self._timeout_s, wanted)

    async def dead_letter(self, event_id: str) -> DeadLetter | None:
        """The dead letter with this id; None if it does not exist."""
        return await asyncio.to_thread(with_id, self._bus, self._codec, event_id, self._timeout_s)

    async def close(self) -> None:
        """Stops following sessions and closes connections. Its handles cannot be used afterwards."""
        await asyncio.to_thread(self._close)

    async def _send(self, command: Command) -> None:
        await asyncio.to_thread(self._send_now, command)

    def _send_now(self, command: Command) -> None:
        outgoing = self._codec.encode(command, source=SOURCE)
        with self._producer_lock:
            if self._producer is None:
                self._producer = self._bus.producer()
        send(self._producer, outgoing, Deadline.after(self._timeout_s))

    async def _new_id(self, tenant: str, key: str) -> str:
        if not key:
            return new_session()
        partitions = await asyncio.to_thread(self._bus.partitions, Topic.TASKS)
        return new_session_of_key(tenant, key, partitions)

    async def _new(self, session: str, tenant: str) -> Handle:
        """A handle of a new session: it reads from the recent end of the session's partitions."""
        positions = await asyncio.to_thread(self._positions, session)
        partition = positions[0][1]
        at, floor = self._floors.get(partition, (0.0, {}))
        if not floor or time.monotonic() - at > FLOOR_S:
            at = time.monotonic()
            floor = await asyncio.wrap_future(self.follower.ends(positions))
            self._floors[partition] = (at, floor)
        return Handle(self, session, floor, tenant)

    def _positions(self, session: str) -> list[Position]:
        return [session_partition(self._bus, topic, session) for topic in (Topic.SESSIONS, Topic.EVENTS)]

    def _close(self) -> None:
        self.follower.close()
        if self._progress is not None:
            self._progress.close()
        if self._producer is not None:
            self._producer.close()
        self._disconnect()


def _canonical(correlation_id: str) -> str:
    session = identity.canonical_uuid(correlation_id)
    if session is None:
        raise ConfigurationError(
            f"{correlation_id!r} is not a session id: write the UUID that submit printed"
        )
    return session


def _keep_open() -> None:
    """The caller that opened the connection closes it."""

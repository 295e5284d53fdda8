"""Following sessions: the events of one until it settles, or those of all from now on.

Both wait for Kafka to deliver records; neither polls by listing again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.polling import by_time, poll_many
from orchestrator.bus.ports import END, Received
from orchestrator.bus.standalone import STANDALONE, all_partitions
from orchestrator.client import Handle
from orchestrator.client.connection import Connection
from orchestrator.errors import ContractError
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import Topic
from orchestrator.operations.errors import NotFoundError
from orchestrator.operations.lookup import find_session
from orchestrator.operations.session_ids import is_whole
from orchestrator.sessions.store import SessionStore

FIRST_EVENT_S: Final = 3.0
"""How long to wait for the first event of a session that does not exist yet: longer than an orchestrator with
capacity takes to accept a task."""
_POLL_S: Final = 1.0
_BATCH: Final = 500


@dataclass(frozen=True)
class ExpectedSession:
    """A session to follow. `missing` is the error to raise if no event of it appears; None if it exists."""

    correlation_id: str
    missing: NotFoundError | None = None


def expect_session(
    connection: Connection, store: SessionStore | None, given: str, timeout_s: float
) -> ExpectedSession:
    """Finds a session as `find_session` does; a whole id that is not found may belong to a task in flight."""
    try:
        return ExpectedSession(find_session(connection, store, given, timeout_s).correlation_id)
    except NotFoundError as error:
        if not is_whole(given):
            raise
        return ExpectedSession(given, error)


async def follow(handle: Handle, session: ExpectedSession) -> AsyncIterator[Event]:
    """The session's events from its beginning, as they happen, until it settles.

    Raises `NotFoundError` if a session that does not exist yet has no event within `FIRST_EVENT_S`.
    """
    events = handle.events()
    if session.missing is not None:
        try:
            async with asyncio.timeout(FIRST_EVENT_S):
                first = await anext(events)
        except TimeoutError:
            raise session.missing from None
        yield first
    async for event in events:
        yield event


def tail(connection: Connection) -> Iterator[Event]:
    """The events of all sessions that are written from now on, without end.

    Those of one partition come in order. Records that cannot be decoded are skipped; the services that handle
    them dead-letter them.
    """
    positions = [
        *all_partitions(connection.bus, Topic.SESSIONS),
        *all_partitions(connection.bus, Topic.EVENTS),
    ]
    consumer = connection.bus.consumer(STANDALONE)
    try:
        consumer.assign(dict.fromkeys(positions, END))
        while True:
            batch = poll_many(consumer, _BATCH, _POLL_S)
            connection.codec.ask(batch)
            for received in by_time(batch):
                if event := _event_in(connection, received):
                    yield event
    finally:
        consumer.close()


def _event_in(connection: Connection, received: Received) -> Event | None:
    try:
        message = connection.codec.decode(received)
    except (ContractError, SchemaUnresolved):
        return None
    return message if isinstance(message, Event) else None

"""Queries of the session store."""

from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from orchestrator.errors import ContractError
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import entry_named
from orchestrator.sessions.projection import SessionRow
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.tables import events, sessions


@dataclass(frozen=True)
class Wanted:
    """Which sessions to list. `since` is Unix time in microseconds; an empty text matches any."""

    phase: str = ""
    agent: str = ""
    tenant: str = ""
    key: str = ""
    since: int = 0
    limit: int = 50


def listed(store: SessionStore, wanted: Wanted) -> list[SessionRow]:
    """The newest sessions, newest first."""
    query = sa.select(sessions).where(sessions.c.started_at >= wanted.since)
    for column, value in (
        (sessions.c.phase, wanted.phase),
        (sessions.c.agent, wanted.agent),
        (sessions.c.tenant, wanted.tenant),
        (sessions.c.key, wanted.key),
    ):
        if value:
            query = query.where(column == value)
    query = query.order_by(sessions.c.started_at.desc(), sessions.c.correlation_id).limit(wanted.limit)
    with store.reading() as connection:
        return [as_session_row(row) for row in connection.execute(query).mappings()]


def beginning_with(store: SessionStore, start: str, limit: int) -> list[SessionRow]:
    """Sessions whose id begins with `start` (hexadecimal digits and dashes), in order of their ids."""
    query = sa.select(sessions).where(sessions.c.correlation_id.startswith(start, autoescape=True))
    query = query.order_by(sessions.c.correlation_id).limit(limit)
    with store.reading() as connection:
        return [as_session_row(row) for row in connection.execute(query).mappings()]


def as_session_row(row: sa.RowMapping) -> SessionRow:
    # The column names of SQLAlchemy are a subclass of str, which msgspec refuses.
    return msgspec.convert({str(name): value for name, value in row.items()}, SessionRow)


def recorded_events(store: SessionStore, correlation_id: str) -> list[Event]:
    """All stored events of a session, in any order; none for an unknown session."""
    query = sa.select(events.c.type, events.c.body).where(events.c.correlation_id == correlation_id)
    with store.reading() as connection:
        return [_event(kind, body) for kind, body in connection.execute(query)]


def _event(kind: str, body: object) -> Event:
    entry = entry_named(f"agents.events.{kind}")
    if entry is None or not issubclass(entry.message, Event):
        raise ContractError(
            f"the session store has an event {kind}, unknown to this version: update this program"
        )
    return msgspec.convert(body, entry.message)

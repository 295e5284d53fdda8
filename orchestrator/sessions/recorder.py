"""The session recorder: a sink that stores every event, and the rows of the list of sessions.

It uses `orchestrator.sdk` like any other sink, and SQLAlchemy Core.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk import Delivery, Positions
from orchestrator.sessions.projection import SessionRow, begun, projected
from orchestrator.sessions.queries import as_session_row
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.tables import NAME_LENGTH, events, offsets, sessions

RECORDED: Final = frozenset({Topic.SESSIONS, Topic.EVENTS})
"""Together they hold everything that happened. Progress is shown live and not stored."""

_POSITIONS: Final = sa.select(offsets.c.topic, offsets.c.partition, offsets.c.next)

_MAX_NUMBER: Final = (1 << 63) - 1
"""What every database holds: a sum of many large reports may be more."""
_NAMES_AT_ONCE: Final = 500
"""Ids in one `IN (...)`: SQLite takes 32,766 variables, older versions 999."""


class SessionRecorder:
    """Stores each event once: a batch, the rows it changes and the positions are one transaction."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def positions(self) -> Positions:
        with self._store.reading() as connection:
            return _as_positions(connection.execute(_POSITIONS))

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        with self._store.writing() as connection:
            # A recorder that does not know yet that it lost a partition may deliver what another recorder has
            # stored: the positions are locked, and everything before them is dropped.
            stored = _locked(connection, positions)
            new = [one for one in batch if one.offset >= stored.get((one.topic, one.partition), 0)]
            recorded = [one for one in new if one.topic in RECORDED and isinstance(one.message, Event)]
            _insert_events(connection, recorded)
            _update_sessions(connection, recorded)
            _store_positions(connection, stored, positions)

    def close(self) -> None:
        self._store.close()


def _locked(connection: sa.Connection, positions: Positions) -> Positions:
    place = sa.tuple_(offsets.c.topic, offsets.c.partition)
    return _as_positions(connection.execute(_POSITIONS.where(place.in_(list(positions))).with_for_update()))


def _as_positions(rows: Iterable[Any]) -> Positions:
    return {(topic, partition): following for topic, partition, following in rows}


def _store_positions(connection: sa.Connection, stored: Positions, positions: Positions) -> None:
    for (topic, partition), following in positions.items():
        before = stored.get((topic, partition))
        if before is None:
            connection.execute(offsets.insert().values(topic=topic, partition=partition, next=following))
        elif before < following:
            place = (offsets.c.topic == topic) & (offsets.c.partition == partition)
            connection.execute(offsets.update().where(place).values(next=following))


def _insert_events(connection: sa.Connection, recorded: Iterable[Delivery]) -> None:
    rows = {_text(one.message.message_id): one for one in reversed(list(recorded))}
    known = _known(connection, events.c.message_id, rows)
    # A message is in a topic twice when its writer did not know whether the first attempt succeeded.
    new = [_event_row(one) for message_id, one in reversed(rows.items()) if message_id not in known]
    if new:
        connection.execute(events.insert(), new)


def _event_row(delivery: Delivery) -> dict[str, Any]:
    message = delivery.message
    return {
        "message_id": _text(message.message_id),
        "correlation_id": _text(message.correlation_id),
        "topic": str(delivery.topic),
        "partition": delivery.partition,
        "offset": delivery.offset,
        "sequence": message.sequence if isinstance(message, SessionEvent) else None,
        "type": type(message).__name__,
        "occurred_at": message.occurred_at,
        "body": message,
    }


def _update_sessions(connection: sa.Connection, recorded: Iterable[Delivery]) -> None:
    own = [one.message for one in recorded if isinstance(one.message, SessionEvent)]
    before = _rows(connection, {_text(event.correlation_id) for event in own})
    after = dict(before)
    for event in own:
        row = after.get(_text(event.correlation_id)) or begun(event)
        after[_text(event.correlation_id)] = projected(row, event)
    new = [_session_row(row) for name, row in after.items() if name not in before]
    changed = [_session_row(row) for name, row in after.items() if name in before and row != before[name]]
    if new:
        connection.execute(sessions.insert(), new)
    if changed:
        by_id = sessions.c.correlation_id == sa.bindparam("known_id")
        fields = [column.name for column in sessions.columns if column.name != "correlation_id"]
        statement = sessions.update().where(by_id).values({name: sa.bindparam(name) for name in fields})
        connection.execute(statement, [row | {"known_id": row.pop("correlation_id")} for row in changed])


def _rows(connection: sa.Connection, names: set[str]) -> dict[str, SessionRow]:
    found: dict[str, SessionRow] = {}
    for some in _portions(sorted(names)):
        rows = connection.execute(sa.select(sessions).where(sessions.c.correlation_id.in_(some))).mappings()
        found |= {row["correlation_id"]: as_session_row(row) for row in rows}
    return found


def _session_row(row: SessionRow) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in SessionRow.__struct_fields__}
    texts = {name: _text(fields[name]) for name in ("correlation_id", "agent", "tenant", "key")}
    numbers = {name: min(value, _MAX_NUMBER) for name, value in fields.items() if isinstance(value, int)}
    return fields | numbers | texts | {"goal": row.goal.replace("\x00", "")}


def _known(connection: sa.Connection, column: sa.Column[str], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for some in _portions(list(names)):
        found.update(connection.scalars(sa.select(column).where(column.in_(some))))
    return found


def _portions(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + _NAMES_AT_ONCE] for start in range(0, len(names), _NAMES_AT_ONCE))


def _text(name: str) -> str:
    """A name that every database accepts: one odd id must not block the events of all sessions."""
    return name.replace("\x00", "")[:NAME_LENGTH]

"""Finding a session by its id or by the beginning of it: in the session store first, then in the log."""

from dataclasses import dataclass

from orchestrator.client.connection import Connection
from orchestrator.messages.catalogue import Topic
from orchestrator.operations.errors import NotFoundError
from orchestrator.operations.session_ids import is_whole
from orchestrator.sessions.log import logged_events
from orchestrator.sessions.projection import SessionRow, begun, projected
from orchestrator.sessions.queries import beginning_with
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.timeline import own_events


@dataclass(frozen=True)
class FoundSession:
    """A session as the store or the log has it; the phase is empty if it was not looked up."""

    correlation_id: str
    phase: str
    tenant: str = "default"


def find_recorded(store: SessionStore, given: str) -> SessionRow | None:
    """The recorded session with this id, or the only one whose id begins with it.

    Raises `NotFoundError` if several sessions match.
    """
    found = beginning_with(store, given, limit=2)
    if len(found) > 1:
        raise NotFoundError(f"several sessions begin with {given}: write more of the id")
    return found[0] if found else None


def find_session(
    connection: Connection, store: SessionStore | None, given: str, timeout_s: float
) -> FoundSession:
    """The session with this id, or the only recorded one whose id begins with it.

    The store is searched first, if there is one. The log is searched by the whole id only, because the id
    determines the partition to read. Raises `NotFoundError`, and `UnavailableError` if Kafka does not respond
    within `timeout_s`.
    """
    row = find_recorded(store, given) if store else None
    if row is not None:
        return FoundSession(row.correlation_id, row.phase, row.tenant)
    if not is_whole(given):
        raise NotFoundError(
            f"no recorded session begins with {given}: write the whole id to search the topics as well"
        )
    row = _logged(connection, given, timeout_s)
    if row is None:
        raise NotFoundError(
            f"session {given} not found: `orchestrator sessions list` shows the recorded sessions; a task that "
            "was just submitted may still be waiting"
        )
    return FoundSession(given, row.phase, row.tenant)


def _logged(connection: Connection, session: str, timeout_s: float) -> SessionRow | None:
    logged = logged_events(connection.bus, connection.codec, session, (Topic.SESSIONS,), timeout_s)
    history = own_events(logged.events)
    if not history:
        return None
    row = begun(history[0])
    for event in history:
        row = projected(row, event)
    return row

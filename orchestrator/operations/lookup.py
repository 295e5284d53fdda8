"""Finding a session by its id or by the beginning of it: in the session store first, then in the log."""

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.client.connection import Connection
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import canonical_uuid
from orchestrator.operations.errors import NotFoundError, UsageError
from orchestrator.sessions.log import logged_events
from orchestrator.sessions.projection import SessionRow, begun, projected
from orchestrator.sessions.queries import beginning_with
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.timeline import own_events

SHORTEST_PREFIX: Final = 8
"""The fewest characters of an id that are looked up."""

_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")


def session_id(text: str) -> str:
    """A session's id, or the beginning of one, in lower case. Raises `UsageError` for anything else."""
    if found := canonical_uuid(text):
        return found
    if _PREFIX.fullmatch(text.lower()):
        return text.lower()
    raise UsageError(
        f"{text!r} is not a session id: write the UUID that submit printed, or at least its first "
        f"{SHORTEST_PREFIX} characters"
    )


def is_whole(given: str) -> bool:
    """Whether `given` is an id rather than the beginning of one."""
    return canonical_uuid(given) == given


def whole_id(given: str) -> str:
    """Returns the id. Raises `NotFoundError` if it is only the beginning of one."""
    if not is_whole(given):
        raise NotFoundError(f"{given} is only the beginning of an id: write the whole id")
    return given


@dataclass(frozen=True)
class FoundSession:
    """A session and its phase as the store or the log has it; the phase is empty if it was not looked up."""

    correlation_id: str
    phase: str


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
        return FoundSession(row.correlation_id, row.phase)
    if not is_whole(given):
        raise NotFoundError(
            f"no recorded session begins with {given}: write the whole id to search the topics as well"
        )
    phase = _logged_phase(connection, given, timeout_s)
    if phase is None:
        raise NotFoundError(
            f"session {given} not found: `orchestrator sessions list` shows the recorded sessions; a task that "
            "was just submitted may still be waiting"
        )
    return FoundSession(given, phase)


def _logged_phase(connection: Connection, session: str, timeout_s: float) -> str | None:
    logged = logged_events(connection.bus, connection.codec, session, (Topic.SESSIONS,), timeout_s)
    history = own_events(logged.events)
    if not history:
        return None
    row = begun(history[0])
    for event in history:
        row = projected(row, event)
    return row.phase

"""Showing one session, from the session store or from the log. `sessions.queries.listed` lists them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.client.connection import Connection
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Event
from orchestrator.operations.errors import NotFoundError
from orchestrator.operations.lookup import find_recorded, find_session
from orchestrator.saga import Session
from orchestrator.sessions import log, queries
from orchestrator.sessions.log import Logged
from orchestrator.sessions.replay import replay
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.timeline import until
from orchestrator.sessions.view import Fetch, SessionView, view_of


@dataclass(frozen=True)
class ShownSession:
    """A session's view. `warnings` say what is missing from it or may be wrong with it."""

    view: SessionView
    warnings: tuple[str, ...] = ()


def recorded_events(store: SessionStore, given: str) -> list[Event]:
    """The recorded events of the session with this id, or the only one whose id begins with it.

    Raises `NotFoundError`.
    """
    row = find_recorded(store, given)
    if row is None:
        raise NotFoundError(
            f"session {given} not found in the session store: --from-log reads the topics instead, "
            "`orchestrator sessions list` shows the recorded sessions, `orchestrator run session-recorder` records "
            "them"
        )
    return queries.recorded_events(store, row.correlation_id)


def logged_events(connection: Connection, store: SessionStore | None, given: str, timeout_s: float) -> Logged:
    """The session's events as its topics hold them. Finds the session, and raises, as `find_session` does."""
    found = find_session(connection, store, given, timeout_s).correlation_id
    return log.logged_events(connection.bus, connection.codec, found, timeout_s=timeout_s)


def show_session(events: Sequence[Event], at: int | None, fetch: Fetch) -> ShownSession:
    """The view of a session, after all of its events or as it was after the event numbered `at`.

    Raises `NotFoundError` if none of the events is the session's own, and `OrchestratorError` if no event has
    the number `at`.
    """
    events = events if at is None else until(events, at)
    session, warnings = replayed_session(events, at)
    try:
        view = view_of(session, events, fetch)
    except (ContractError, UnavailableError) as error:
        warnings = (*warnings, f"the result cannot be read: {error}")
        view = view_of(session, events)
    return ShownSession(view, warnings)


def replayed_session(events: Iterable[Event], at: int | None) -> tuple[Session, tuple[str, ...]]:
    """The state after all events, or after the event numbered `at`, and warnings. Raises as `show_session` does."""
    replayed = replay(events, at)
    warnings = tuple(f"the history is damaged: {problem}" for problem in replayed.problems)
    if replayed.session is None:
        raise NotFoundError(
            "; ".join(["the session's history is not readable from its beginning", *warnings])
        )
    return replayed.session, warnings

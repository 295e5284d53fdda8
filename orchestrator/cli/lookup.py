"""Finding the session that somebody means: by its id, or by the beginning of it."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.exits import NotFoundError
from orchestrator.errors import UnavailableError
from orchestrator.messages.identity import canonical_uuid

if TYPE_CHECKING:
    from orchestrator.app.wiring import Wiring
    from orchestrator.sessions.projection import SessionRow
    from orchestrator.sessions.store import SessionStore

SHORTEST: Final = 8
"""Characters of the shortest beginning of an id that is looked for."""

_BEGINNING: Final = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")


def session_id(text: str) -> str:
    """A session's id, or the beginning of one, in lower case. Raises `BadParameter` for anything else."""
    if found := canonical_uuid(text):
        return found
    if _BEGINNING.fullmatch(text.lower()):
        return text.lower()
    raise typer.BadParameter(
        f"{text!r} is no session id: write the UUID that submit printed, or its first {SHORTEST} characters or more"
    )


SessionId = Annotated[
    str, typer.Argument(metavar="ID", parser=session_id, help="The session's id, or the beginning of it.")
]


def is_whole(given: str) -> bool:
    """Whether it is an id, and not the beginning of one."""
    return canonical_uuid(given) == given


def whole_id(given: str) -> str:
    """Raises `NotFoundError` if it is the beginning of an id only."""
    if not is_whole(given):
        raise NotFoundError(f"{given} is the beginning of an id: write the whole id")
    return given


def open_store() -> "SessionStore":
    """The session store. Raises `UnavailableError` or `ConfigurationError` if it cannot be opened."""
    from orchestrator.sessions.settings import SessionsSettings
    from orchestrator.sessions.store import SessionStore

    return SessionStore(SessionsSettings.read().url.get_secret_value())


def recorded(store: "SessionStore", given: str) -> "SessionRow | None":
    """The stored session of that id, or whose id alone begins so. Raises `NotFoundError` if several do."""
    from orchestrator.sessions.queries import beginning_with

    found = beginning_with(store, given, limit=2)
    if len(found) > 1:
        raise NotFoundError(f"several sessions begin with {given}: write more of the id")
    return found[0] if found else None


@dataclass(frozen=True)
class Known:
    """A session that exists, and the phase that the store or its log tells."""

    correlation_id: str
    phase: str


def existing(wiring: "Wiring", given: str, timeout_s: float) -> Known:
    """The session that is meant, if the store or the log knows it.

    The store is asked first; the log needs the whole id, and one partition is read. Raises `NotFoundError`.
    """
    row = _recorded_if_possible(given)
    if row is not None:
        return Known(row.correlation_id, row.phase)
    if not is_whole(given):
        raise NotFoundError(
            f"the session store knows no session that begins with {given}: write the whole id, then the "
            "topics are searched as well"
        )
    phase = _logged_phase(wiring, given, timeout_s)
    if phase is None:
        raise NotFoundError(
            f"there is no session {given}: `orchestrator sessions list` shows those that are recorded; a task "
            "that was just submitted may still be waiting"
        )
    return Known(given, phase)


def _recorded_if_possible(given: str) -> "SessionRow | None":
    try:
        store = open_store()
    except UnavailableError:
        return None
    try:
        return recorded(store, given)
    finally:
        store.close()


def _logged_phase(wiring: "Wiring", session: str, timeout_s: float) -> str | None:
    from orchestrator.messages.base import SessionEvent
    from orchestrator.messages.catalogue import Topic
    from orchestrator.sessions.log import logged_events
    from orchestrator.sessions.projection import begun, projected
    from orchestrator.sessions.timeline import own_events

    logged = logged_events(wiring.bus, wiring.codec, session, (Topic.SESSIONS,), timeout_s)
    history: list[SessionEvent] = own_events(logged.events)
    if not history:
        return None
    row = begun(history[0])
    for event in history:
        row = projected(row, event)
    return row.phase

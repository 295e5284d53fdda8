"""The session recorder, as a plug-in like any other."""

from orchestrator.sdk import Sink, sink
from orchestrator.sessions.settings import SessionsSettings

__all__ = ["SessionsSettings", "session_recorder"]


@sink("session-recorder", pattern="agents.events.*")
def session_recorder() -> Sink:
    """The recorder into the store that `ORCHESTRATOR_SESSIONS_URL` names."""
    # Imported late: every process loads every plug-in, and SQLAlchemy takes as long to import as everything else.
    from orchestrator.sessions.recorder import SessionRecorder
    from orchestrator.sessions.store import SessionStore

    return SessionRecorder(SessionStore(SessionsSettings.read().url.get_secret_value()))

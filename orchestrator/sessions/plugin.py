"""How the session recorder is found: by the same door as anybody's plug-in."""

from orchestrator.sdk import Sink, sink
from orchestrator.sessions.settings import SessionsSettings

__all__ = ["SessionsSettings", "session_recorder"]


@sink("session-recorder", pattern="agents.events.*")
def session_recorder() -> Sink:
    """The recorder into the store that `ORCHESTRATOR_SESSIONS_URL` names."""
    # Every process loads every plug-in, and SQLAlchemy takes as long to import as all the rest: only the
    # process that records pays for it.
    from orchestrator.sessions.recorder import SessionRecorder
    from orchestrator.sessions.store import SessionStore

    return SessionRecorder(SessionStore(SessionsSettings.read().url.get_secret_value()))

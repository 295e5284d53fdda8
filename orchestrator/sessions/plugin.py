"""The session recorder as a plug-in: it is discovered like any other."""

from orchestrator.sdk import Sink, sink


@sink("session-recorder", pattern="agents.events.*")
def session_recorder() -> Sink:
    """The recorder into the store that `ORCHESTRATOR_SESSIONS_URL` names."""
    # Every process loads every plug-in, and the import of SQLAlchemy takes as long as all others: only the
    # process that records shall pay for it.
    from orchestrator.sessions.recorder import SessionRecorder
    from orchestrator.sessions.settings import SessionsSettings
    from orchestrator.sessions.store import SessionStore

    return SessionRecorder(SessionStore(SessionsSettings().url.get_secret_value()))

"""Where the session store is."""

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_url() -> str:
    """A SQLite file in the user's state folder (XDG Base Directory Specification). It is not a cache: Kafka can
    rebuild it only as far back as the retention of its topics."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return f"sqlite:///{Path(state) / 'orchestrator' / 'sessions.sqlite'}"


class SessionsSettings(BaseSettings):
    """`ORCHESTRATOR_SESSIONS_URL`: any SQLAlchemy URL. One store holds the sessions of one installation."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_SESSIONS_", frozen=True)

    url: SecretStr = Field(default_factory=lambda: SecretStr(default_url()))
    """Never shown: it holds the password of most databases."""

"""Where the session store is."""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, SecretStr, field_serializer

from orchestrator.errors import ConfigurationError
from orchestrator.sdk import PluginSettings


def default_url() -> str:
    """A SQLite file in the user's state folder (XDG Base Directory Specification). It is not a cache: it can be
    rebuilt from Kafka, but only as far back as topics are retained."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return f"sqlite:///{Path(state) / 'orchestrator' / 'sessions.sqlite'}"


class SessionsSettings(PluginSettings, prefix="SESSIONS"):
    """One store holds the sessions of one installation."""

    url: SecretStr = Field(default_factory=lambda: SecretStr(default_url()))
    """SQLAlchemy URL of the session store, such as sqlite:////var/lib/orchestrator/sessions.sqlite. It may hold
    a password."""

    def problems(self) -> Iterable[str]:
        """Whether it is a URL, and the database's driver is installed. Opens nothing."""
        from orchestrator.sessions.urls import parsed_url

        try:
            parsed_url(self.url.get_secret_value())
        except ConfigurationError as error:
            yield from error.problems

    @field_serializer("url", when_used="json")
    def _without_password(self, url: SecretStr) -> str:
        from orchestrator.sessions.urls import shown_url

        return shown_url(url.get_secret_value())

"""The session store's URL: parsed, and its driver found, without showing the password that it may hold."""

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from orchestrator.errors import ConfigurationError


def parsed_url(url: str) -> sa.URL:
    """The URL, for which a driver is installed. Opens nothing. Raises `ConfigurationError`."""
    try:
        parsed = sa.make_url(url)
        parsed.get_dialect().import_dbapi()
    # A missing dialect is an ArgumentError too, so it comes first.
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"no driver found for the database in ORCHESTRATOR_SESSIONS_URL ({error}): "
            "install it beside the platform, or name another driver in the URL"
        ) from error
    # A port that is not a number is a ValueError whose text may hold the password.
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "ORCHESTRATOR_SESSIONS_URL is not a database URL: set it to one such as "
            "sqlite:////var/lib/orchestrator/sessions.sqlite or postgresql+psycopg://user:password@host/name; "
            "write special characters of the password as %40 and the like"
        ) from None
    return parsed


def shown_url(url: str) -> str:
    """The URL without its password and options, which may hold one; asterisks if it cannot be parsed."""
    try:
        return sa.make_url(url).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "**********"

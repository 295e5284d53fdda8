"""The session store: a database with what the recorder has read. SQLite by default, any SQL URL otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.sessions.tables import STORE_VERSION, metadata, store_version

_BUSY_TIMEOUT_S = 30.0
"""How long a SQLite writer waits for another one: far above what any batch takes."""


class SessionStore:
    """A database with the store's tables, made when they are not there. Any thread may use it.

    Raises `ConfigurationError` for a URL that cannot work and for tables of a newer version, and
    `UnavailableError` where the database does not answer. Neither shows the password.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        # Where a reader sees what others commit meanwhile, as it does by PostgreSQL's default; SQLite's never does.
        one_view = {} if self._engine.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._reader = self._engine.execution_options(**one_view)
        self._shown = self._engine.url.render_as_string(hide_password=True)
        self._prepare()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view of the store."""
        with self._translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or, when the body raises, nothing."""
        with self._translated(), self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        try:
            self._create()
        except (UnavailableError, DBAPIError):
            # Another process may have made the tables at this very moment; otherwise this raises again.
            self._create()

    def _create(self) -> None:
        with self.writing() as connection:
            made = sa.inspect(connection).has_table(store_version.name)
            found = connection.scalar(sa.select(store_version.c.version)) if made else None
            if found is None:
                metadata.create_all(connection)
                connection.execute(store_version.insert().values(version=STORE_VERSION))
                return
        if found != STORE_VERSION:
            self.close()
            raise ConfigurationError(
                f"the session store {self._shown} has version {found}, this program knows {STORE_VERSION}: "
                "use the program that wrote it, or name another store in ORCHESTRATOR_SESSIONS_URL"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise UnavailableError(
                f"the session store {self._shown} does not answer: {error.orig}. "
                "Is the database there, and may this user write to it? ORCHESTRATOR_SESSIONS_URL names it"
            ) from error


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return sa.create_engine(parsed, pool_pre_ping=True, **_JSON)
    # A missing dialect is an ArgumentError too, so it is asked for first.
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"there is no driver for the database in ORCHESTRATOR_SESSIONS_URL ({error}): "
            "install it beside the platform, or name another one in the URL"
        ) from error
    except ArgumentError as error:
        raise ConfigurationError(
            "ORCHESTRATOR_SESSIONS_URL is no database URL: write one such as "
            "sqlite:////var/lib/orchestrator/sessions.sqlite or postgresql+psycopg://user:password@host/name"
        ) from error


def _as_text(content: Any) -> str:
    return msgspec.json.encode(content).decode()


_JSON: dict[str, Any] = {"json_serializer": _as_text, "json_deserializer": msgspec.json.decode}


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the folder of the session store cannot be made: {error}. "
                "Name another place in ORCHESTRATOR_SESSIONS_URL"
            ) from error
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S}, **_JSON)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Without this Python begins transactions by itself, and only at the first write: a reader that
        # becomes a writer then fails with "database is locked" at once, however long the timeout.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        # With WAL this loses the last transactions at a power cut, never their order: they are read again.
        connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine

"""The session store: a database of what the recorder has read. SQLite by default, or any SQL database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.sessions.store_file import StoreFile
from orchestrator.sessions.tables import STORE_VERSION, metadata, store_version
from orchestrator.sessions.urls import parsed_url

_BUSY_TIMEOUT_S = 30.0
"""How long a SQLite writer waits for another one: far longer than any batch takes."""
_DISK_FULL: Final = "53100"
"""The SQLSTATE of a database whose disk is full (PostgreSQL, appendix A)."""


class SessionStore:
    """A database with the store's tables, which are created or completed where they are missing. Thread-safe.

    Raises `ConfigurationError` for an unusable URL and for tables of a newer version, `UnavailableError` where
    the database does not respond. Neither shows the password.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        # By default, readers of PostgreSQL see what is committed meanwhile; those of SQLite never do.
        one_view = {} if self._engine.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._reader = self._engine.execution_options(**one_view)
        self._shown = self._engine.url.render_as_string(hide_password=True)
        self._file: StoreFile | None = None
        self._prepare()
        self._file = StoreFile(self._engine.url)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view of the store."""
        with self._translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction; rolled back when the body raises. Raises `ConfigurationError` if SQLite's file is gone."""
        if self._file is not None:
            self._file.require_same()
        with self._translated(), self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        try:
            self._create()
        except (UnavailableError, DBAPIError):
            # Another process may have created the tables at the same moment; if not, this raises again.
            self._create()

    def _create(self) -> None:
        with self.writing() as connection:
            made = sa.inspect(connection).has_table(store_version.name)
            found = connection.scalar(sa.select(store_version.c.version)) if made else None
            if found is None:
                metadata.create_all(connection)
                connection.execute(store_version.insert().values(version=STORE_VERSION))
            elif found < STORE_VERSION:
                _add_columns(connection)
                connection.execute(store_version.update().values(version=STORE_VERSION))
        if found is not None and found > STORE_VERSION:
            self.close()
            raise ConfigurationError(
                f"the session store {self._shown} has version {found}, this program needs {STORE_VERSION}: "
                "use the program that created it, or set ORCHESTRATOR_SESSIONS_URL to another store"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise UnavailableError(
                f"the session store {self._shown} {self._refusal(error)} ORCHESTRATOR_SESSIONS_URL names it"
            ) from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:
                raise
            # SQLite's for a file that is damaged, or is none of its files.
            raise UnavailableError(
                f"the session store {self._shown} cannot be read: {error.orig}. Stop what uses the file, move it away "
                f"with those beside it (-wal, -shm), and start again: it is made anew from the topics"
            ) from error

    def _refusal(self, error: OperationalError) -> str:
        """What is wrong, and what to look at."""
        if _is_full(error):
            return f"has no space left: {error.orig}. Free some on its disk, or give it a larger one."
        if self._engine.name == "sqlite":
            return f"cannot be used: {error.orig}. Has its disk space, and may this user write to its folder?"
        return f"does not respond: {error.orig}. Is the database running, and may this user write to it?"


def _is_full(error: OperationalError) -> bool:
    """Whether there is no space on the disk of the database, as SQLite, PostgreSQL and the system say it."""
    text = str(error.orig).lower()
    state = getattr(error.orig, "sqlstate", None)
    return state == _DISK_FULL or "disk is full" in text or "no space left" in text


def _add_columns(connection: sa.Connection) -> None:
    """Adds the columns that an older version did not have: each has a default."""
    for table in metadata.sorted_tables:
        known = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                added = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {added}")


def _engine(url: str) -> sa.Engine:
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return sa.create_engine(parsed, pool_pre_ping=True, **_JSON)


def _as_text(content: Any) -> str:
    return msgspec.json.encode(content).decode()


_JSON: dict[str, Any] = {"json_serializer": _as_text, "json_deserializer": msgspec.json.decode}


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the folder of the session store cannot be created: {error}. "
                "Set ORCHESTRATOR_SESSIONS_URL to another place"
            ) from error
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S}, **_JSON)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Otherwise Python begins a transaction, and only at the first write: a reader that becomes a writer
        # then fails with "database is locked" at once, however long the timeout.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        # With WAL, a power cut loses the last transactions, but never their order: they are read again.
        connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine

"""The session store: where it is, what it refuses, and that it is portable."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.sessions.queries import Wanted, listed
from orchestrator.sessions.settings import SessionsSettings, default_url
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.tables import STORE_VERSION, metadata, offsets, store_version


def test_it_is_in_the_users_state_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/orchestrator/sessions.sqlite"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_url() == "sqlite:////home/ada/.local/state/orchestrator/sessions.sqlite"


def test_the_environment_names_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", "postgresql+psycopg://ada:hunter2@db/sessions")
    settings = SessionsSettings.read()
    assert settings.url.get_secret_value().startswith("postgresql")
    assert "hunter2" not in repr(settings)


def test_a_second_program_finds_the_tables(url: str) -> None:
    SessionStore(url).close()
    SessionStore(url).close()


def test_programs_that_start_together_create_the_tables_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for store in pool.map(lambda _: SessionStore(url), range(8)):
            store.close()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_is_removed_or_replaced_while_it_is_open_takes_nothing_more(
    tmp_path: Path, is_replaced: bool
) -> None:
    url, path = f"sqlite:///{tmp_path / 'own.sqlite'}", tmp_path / "own.sqlite"
    store = SessionStore(url)
    for each in tmp_path.glob("own.sqlite*"):
        each.unlink()
    if is_replaced:
        SessionStore(url).close()

    with (
        pytest.raises(ConfigurationError, match="was removed or replaced while it was open"),
        store.writing(),
    ):
        pass

    store.close()
    assert path.exists() == is_replaced


def test_a_store_in_memory_has_no_file() -> None:
    store = SessionStore("sqlite://")

    with store.writing() as connection:
        version = connection.scalar(sa.select(store_version.c.version))

    assert version == STORE_VERSION


def test_a_newer_store_is_refused(url: str, store: SessionStore) -> None:
    with store.writing() as connection:
        connection.execute(store_version.update().values(version=STORE_VERSION + 1))
    with pytest.raises(ConfigurationError, match="has version 4, this program needs 3"):
        SessionStore(url)


def test_an_older_store_gets_what_it_lacks(url: str, store: SessionStore) -> None:
    # Given a store of version 1, with a session.
    with store.writing() as connection:
        for column in ("turn", "model_requests", "tokens_cached"):
            connection.execute(sa.text(f"ALTER TABLE sessions DROP COLUMN {column}"))
        connection.execute(store_version.update().values(version=1))
        connection.execute(
            sa.text(
                "INSERT INTO sessions (correlation_id, phase, goal, agent, tenant, started_at, updated_at, sequence,"
                " revision, tool_calls, tokens, cost_micro_usd)"
                " VALUES ('a', 'completed', 'tea', 'cook', 'default', 1, 2, 3, 1, 4, 5, 6)"
            )
        )
    # When a program of this version opens it, and another one after it.
    SessionStore(url).close()
    SessionStore(url).close()
    # Then the session is there, and what was not counted then is zero.
    (row,) = listed(store, Wanted())
    assert (row.correlation_id, row.tokens, row.turn) == ("a", 5, 0)
    assert (row.model_requests, row.tokens_cached) == (0, 0)
    with store.reading() as reader:
        assert reader.scalar(sa.select(store_version.c.version)) == STORE_VERSION


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("what is this", "is not a database URL"),
        ("nosuch://ada:hunter2@db/sessions", "no driver"),
        ("mysql+nosuch://ada:hunter2@db/sessions", "no driver"),
        ("sqlite:////proc/nowhere/sessions.sqlite", "cannot be created"),
    ],
)
def test_a_url_that_cannot_work_is_explained(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        SessionStore(url)
    assert "ORCHESTRATOR_SESSIONS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"cannot be used: unable to open .* write to its folder\?"):
        SessionStore(f"sqlite:///{tmp_path}")


def test_a_disk_that_is_full_is_said_to_be_full(tmp_path: Path) -> None:
    store = SessionStore(f"sqlite:///{tmp_path / 'small.sqlite'}")
    with pytest.raises(UnavailableError, match=r"has no space left: database or disk is full\. Free some"):
        fill(store)
    store.close()


def fill(store: SessionStore) -> None:
    """Writes more than SQLite has pages for."""
    with store.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        rows = [{"topic": "events", "partition": number, "next": 1} for number in range(10_000)]
        connection.execute(offsets.insert(), rows)


class DiskFull(Exception):  # noqa: N818 - as psycopg names it
    """As PostgreSQL's driver raises it, in whatever language the server speaks."""

    sqlstate = "53100"


@pytest.mark.parametrize(
    "error",
    [
        DiskFull("konnte Datei nicht erweitern"),
        OSError("could not extend file: No space left on device"),
    ],
    ids=repr,
)
def test_a_server_whose_disk_is_full_is_said_to_be_full(store: SessionStore, error: Exception) -> None:
    with pytest.raises(UnavailableError, match="has no space left: "), store.writing():
        raise OperationalError("INSERT", {}, error)


def test_a_file_that_is_none_of_a_database_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "sessions.sqlite"
    file.write_bytes(b"no database at all, " * 1_000)
    with pytest.raises(UnavailableError, match=r"file is not a database.*made anew from the topics"):
        SessionStore(f"sqlite:///{file}")


def test_a_damaged_database_is_no_fault_of_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "sessions.sqlite"
    made = SessionStore(f"sqlite:///{file}")
    with made.writing() as writer:
        rows = [{"topic": "events", "partition": number, "next": 1} for number in range(5_000)]
        writer.execute(offsets.insert(), rows)
    made.close()
    content = file.read_bytes()
    file.write_bytes(content[:4_096] + b"\xff" * (len(content) - 4_096))
    with pytest.raises(UnavailableError, match=r"cannot be read|does not respond"):
        SessionStore(f"sqlite:///{file}")


def test_a_reader_sees_one_state_while_a_writer_writes(store: SessionStore) -> None:
    with store.reading() as reader:
        assert reader.execute(sa.select(offsets)).all() == []
        with store.writing() as writer:
            writer.execute(offsets.insert().values(topic="events", partition=0, next=1))
        assert reader.execute(sa.select(offsets)).all() == []
    with store.reading() as reader:
        assert reader.execute(sa.select(offsets)).all() == [("events", 0, 1)]


def test_a_transaction_that_fails_leaves_nothing(store: SessionStore) -> None:
    row = {"topic": "events", "partition": 0, "next": 1}
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(offsets.insert(), [row, row])
    with store.reading() as connection:
        assert connection.execute(sa.select(offsets)).all() == []


@pytest.mark.parametrize("dialect", [sqlite, postgresql, mysql], ids=["sqlite", "postgresql", "mysql"])
def test_the_tables_can_be_written_in_every_dialect(dialect: object) -> None:
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect.dialect()))  # type: ignore[attr-defined]
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect.dialect()))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "broken",
    [
        "postgresql+psycopg://ada:hunter2/db",
        "postgresql+psycopg://ada:p@ss:hunter2@db/sessions",
        "nonsense://ada:hunter2@db/sessions",
        "hunter2",
    ],
)
def test_a_url_that_is_wrong_is_refused_without_its_password(broken: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SessionStore(broken)
    assert "ORCHESTRATOR_SESSIONS_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    settings = SessionsSettings(url=SecretStr(broken))
    assert "hunter2" not in str(settings.model_dump(mode="json"))
    assert "hunter2" not in " ".join(settings.problems())

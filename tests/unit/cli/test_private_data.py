"""What `dev` keeps is for its user alone."""

from pathlib import Path

import pytest

from orchestrator.cli.commands.dev import _close_to_others
from orchestrator.cli.folders import make_private_folder
from orchestrator.sessions.store import SessionStore


def test_a_new_folder_is_closed(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "data", "--data")

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(0o755)

    make_private_folder(tmp_path / "data", "--data")

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("is_old", [False, True], ids=["new", "of an earlier version"])
def test_sessions_are_closed_wherever_they_are(tmp_path: Path, is_old: bool) -> None:
    # given a folder, with the data of an earlier version or none
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    if is_old:
        for name in ("kafka", "registry", "values", "security", "jaeger"):
            (tmp_path / name).mkdir(0o755)
            (tmp_path / name / "data").write_text("")
        left = SessionStore(url)

    # when
    _close_to_others(tmp_path, secure=True, jaeger=False)
    store = SessionStore(url)
    with store.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE more (n INTEGER)")

    # then the database and what SQLite puts beside it are closed, and so is everything else
    names = {path.name for path in tmp_path.iterdir()}
    assert {"sessions.sqlite", "sessions.sqlite-wal", "sessions.sqlite-shm", "values", "security"} <= names
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_mode & 0o077} == set()
    store.close()
    if is_old:
        left.close()

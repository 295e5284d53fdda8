"""A folder's own guarantees: whole files only, and an error that says what failed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.bus.values.folder import FolderValues
from orchestrator.errors import UnavailableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "values"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=2000))
def test_what_is_written_is_read(folder: Path, content: bytes) -> None:
    store = FolderValues(folder)
    uri = store.write(content)
    assert store.write(content) == uri
    assert store.read(uri) == content


def test_only_whole_values_have_a_name(folder: Path) -> None:
    uri = FolderValues(folder).write(b"content")
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / uri.removeprefix("values:")]


def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written to"):
        FolderValues(tmp_path / "file").write(b"content")

"""A folder's own guarantees: whole files only, and an error that says what failed."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.bus.values.folder import FolderValues
from orchestrator.errors import ContractError, UnavailableError
from tests.support.stored_values import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "values"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=2000))
def test_what_is_written_is_read(folder: Path, content: bytes) -> None:
    store = FolderValues(folder)
    uri = store.write(content)
    assert store.write(content) == uri
    assert read(store, uri) == content


def test_only_whole_values_have_a_name(folder: Path) -> None:
    uri = FolderValues(folder).write(b"content")
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / uri.removeprefix("values:")]


def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written to"):
        FolderValues(tmp_path / "file").write(b"content")


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _link(path: Path, content: Path) -> None:
    path.symlink_to(content)


def _device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _socket(path: Path, _: Path) -> None:
    # Bound elsewhere and moved: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{place}/s")
        Path(place, "s").rename(path)


REPLACED = [_pipe, _link, _device, _folder, _socket]


@pytest.mark.parametrize("put", REPLACED)
def test_only_regular_files_are_read_and_others_replaced(
    folder: Path, tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    store = FolderValues(folder)
    uri = store.write(b"content")
    path = folder / uri.removeprefix("values:")
    path.unlink()
    (tmp_path / "content").write_bytes(b"content")
    put(path, tmp_path / "content")

    with pytest.raises(ContractError, match="is not a regular file"):
        read(store, uri)

    assert store.write(b"content") == uri
    assert path.is_file()
    assert not path.is_symlink()
    assert read(store, uri) == b"content"
    assert (tmp_path / "content").read_bytes() == b"content"


def test_a_file_of_more_bytes_than_may_be_read_is_refused_by_its_length(folder: Path) -> None:
    store = FolderValues(folder)
    uri = store.write(b"content")
    os.truncate(folder / uri.removeprefix("values:"), 2**40)

    with pytest.raises(ContractError, match="more than 7 bytes"):
        read(store, uri, most=7)

"""One owner for each folder."""

import os
from pathlib import Path

import pytest

from orchestrator.errors import UnavailableError
from orchestrator.local.locks import FolderLock


def test_a_folder_that_is_owned_is_refused_and_its_owner_named(tmp_path: Path) -> None:
    owner, other = FolderLock(tmp_path / "kafka"), FolderLock(tmp_path / "kafka")
    owner.acquire()
    try:
        with pytest.raises(UnavailableError, match=rf"in use by process {os.getpid()}\b"):
            other.acquire()
    finally:
        owner.release()


def test_a_released_folder_may_be_owned_again(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    first.release()
    first.release()

    second.acquire()

    second.release()

"""Large values in a folder: files named after their content."""

import errno
import math
import os
import stat
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.values.backend import Backend
from orchestrator.bus.values.pieces import too_large, whole
from orchestrator.bus.values.uris import path_of, path_of_content, uri_of, verified
from orchestrator.errors import ContractError, UnavailableError

_NEVER: Final = Deadline(math.inf)
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""What opening a link, a socket or a device without a driver says."""


class FolderValues:
    """A value store in a folder that several processes may share. A value's path below it is that of its URI."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, content: bytes) -> str:
        """Writes over what is damaged. Raises `UnavailableError` if the folder cannot be written to."""
        below = path_of_content(content)
        path = self._folder / below
        try:
            if not _holds(path, content):
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_durably(path, content)
        except OSError as error:
            raise UnavailableError(
                f"the value store in {self._folder} cannot be written to: {error.strerror}"
            ) from error
        return uri_of(below)

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:
        """Reads regular files only: a pipe may have no end, a link may lead anywhere."""
        path = self._folder / path_of(uri)
        try:
            content = _content(path, uri, most, deadline)
        except FileNotFoundError as error:
            raise ContractError(
                f"{uri} is not in the value store in {self._folder}: do all services share that folder?"
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"the value store in {self._folder} cannot be read: {error.strerror}"
            ) from error
        return verified(uri, content)


@dataclass(frozen=True)
class FolderLocation:
    """A folder of this machine, or one that several machines mount."""

    folder: Path

    def open(self) -> FolderValues:
        return FolderValues(self.folder)


def _locate(url: str) -> FolderLocation:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise ValueError("a file URL has three slashes and an absolute path: file:///var/lib/values")
    return FolderLocation(Path(unquote(parts.path)))


BACKEND: Final = Backend("file", "file:///path", _locate)


def _holds(path: Path, content: bytes) -> bool:
    """Whether the content is there. What cannot be read is written again; if it cannot be written, that says why."""
    try:
        return _content(path, str(path), len(content), _NEVER) == content
    except (ContractError, OSError):
        return False


def _set_folder_aside(path: Path) -> None:
    """A file replaces anything but a folder."""
    if path.is_dir() and not path.is_symlink():
        path.rename(tempfile.mkdtemp(dir=path.parent, prefix=".old-"))


def _content(path: Path, uri: str, most: int, deadline: Deadline) -> bytes:
    """The content of a regular file. Raises `OSError`, and `ContractError` for anything else and for larger ones."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _not_regular(uri) from error
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(uri)
        if found.st_size > most:
            raise too_large(uri, most)
        return whole(partial(os.read, handle), uri, most, deadline)
    finally:
        os.close(handle)


def _not_regular(uri: str) -> ContractError:
    return ContractError(f"{uri} is not a regular file in the value store's folder: somebody has replaced it")


def _write_durably(path: Path, content: bytes) -> None:
    """Writes all of it or nothing, and survives a power cut: a message may name it from now on."""
    # 1. Write the content under a name that is never read.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # 2. Rename it. A concurrent writer of the same content replaces it with equal bytes.
        _set_folder_aside(path)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # 3. Make the entries of the folders durable.
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

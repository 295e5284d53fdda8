"""Folders that tools are confined to: no path in a plan leads out of them."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final

from orchestrator.sdk import HandlerError, InvalidInput, PermanentError, TransientError
from orchestrator_services.tools.settings import PREFIX, ToolSettings

_LONGEST_PATTERN: Final = 1_000
"""Characters: every file's name is compared with it."""


@dataclass(frozen=True)
class Folder:
    """A folder with everything below it. Paths are relative to it, and resolved before they are checked: `..`,
    absolute paths and symbolic links are allowed if they end inside.

    The check protects against hostile paths. It does not protect a tree in which an attacker replaces folders with
    links at the same time; the tools themselves never create links.
    """

    root: Path
    setting: str

    def locate(self, path: str) -> Path:
        """The resolved path, which need not exist. Raises `InvalidInput` if it is outside."""
        if not is_text(path):
            raise InvalidInput(f"{path!a} is not UTF-8 text")
        try:
            place = (self.root / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise InvalidInput(f"{path!r} is not a valid path: {type(error).__name__}") from None
        if not place.is_relative_to(self.root):
            raise InvalidInput(
                f"{path!r} is outside the allowed folder; give a path relative to {self.setting}"
            )
        return place

    def name(self, place: Path) -> str:
        """`place` relative to the folder, with slashes. Raises `InvalidInput` if it is not text: no result could hold
        it."""
        name = place.relative_to(self.root).as_posix()
        if not is_text(name):
            raise InvalidInput(f"{name!a} is not UTF-8 text; rename the file or its folder")
        return name

    def file(self, path: str, max_bytes: int) -> Path:
        """The resolved path of a regular file of at most `max_bytes`. Raises `InvalidInput` otherwise."""
        place = self.locate(path)
        _check_file(path, _status(path, place), max_bytes)
        return place

    def open(self, path: str, max_bytes: int) -> BinaryIO:
        """Opens a regular file of at most `max_bytes` for reading. Raises `InvalidInput` otherwise."""
        place = self.locate(path)
        try:
            # Non-blocking: opening a named pipe would wait, and the check below refuses it.
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            _check_file(path, os.fstat(descriptor), max_bytes)
        except InvalidInput:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")

    def walk(self, path: str, pattern: str) -> Iterator[Path]:
        """Regular files at or below `path` whose name matches `pattern` (see `glob_matches`), in order.

        Links to folders are not followed, links to files only if they end inside. Names may be bytes that are not
        UTF-8: `is_text` tells them, `name` refuses them.
        """
        if len(pattern) > _LONGEST_PATTERN:
            raise InvalidInput(
                f"the pattern has {len(pattern)} characters; at most {_LONGEST_PATTERN} are allowed"
            )
        start = self.locate(path)
        mode = _status(path, start).st_mode
        if stat.S_ISREG(mode):
            yield start
            return
        if not stat.S_ISDIR(mode):
            raise InvalidInput(f"{path!r} is neither a folder nor a regular file")
        for folder, subfolders, names in os.walk(start):
            subfolders.sort()
            for name in sorted(names):
                place = Path(folder, name)
                if glob_matches(place.relative_to(start).as_posix(), pattern) and self._holds(place):
                    yield place

    def _holds(self, place: Path) -> bool:
        """Whether it is a regular file inside the folder, or a link to one."""
        try:
            return place.is_file() and place.resolve().is_relative_to(self.root)
        except OSError:
            return False


def is_text(name: str) -> bool:
    """Whether a name of a file, as the system gives it, is UTF-8 text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def glob_matches(name: str, pattern: str) -> bool:
    """Whether the relative file name matches the shell pattern.

    A pattern without a slash is matched against the last part, at any depth (`*.log`). Otherwise parts are matched
    one by one, `**` standing for any number of folders (`2026/**/*.log`).
    """
    if "/" not in pattern and pattern != "**":
        pattern = f"**/{pattern}"
    parts = pattern.split("/")
    # Two `**` side by side are one.
    wanted = [part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not part == after == "**"]
    if wanted[-1] == "**":
        wanted.append("*")

    def with_empty_stars(states: set[int]) -> set[int]:
        for state in sorted(states):
            while state < len(wanted) and wanted[state] == "**":
                state += 1
                states.add(state)
        return states

    states = with_empty_stars({0})
    for part in name.split("/"):
        moved = set()
        for state in states:
            if state < len(wanted) and wanted[state] == "**":
                moved.add(state)
            elif state < len(wanted) and fnmatchcase(part, wanted[state]):
                moved.add(state + 1)
        states = with_empty_stars(moved)
    return len(wanted) in states


def files_folder(settings: ToolSettings) -> Folder:
    """The folder that tools read from. Raises `PermanentError` if it is not set or does not exist."""
    return _folder(settings.files_root, "FILES_ROOT")


def output_folder(settings: ToolSettings) -> Folder:
    """The folder that tools write to. Raises `PermanentError` if it is not set or does not exist."""
    return _folder(settings.output_root, "OUTPUT_ROOT")


def _folder(root: Path | None, field: str) -> Folder:
    setting = PREFIX + field
    if root is None:
        raise PermanentError(f"no folder is allowed: set {setting} to the folder that the tools may use")
    if not root.is_dir():
        raise PermanentError(
            f"{setting} does not name an existing folder: create the folder or correct the setting"
        )
    return Folder(root.resolve(), setting)


def _check_file(path: str, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InvalidInput(f"{path!r} is {kind}; name a file")
    if status.st_size > max_bytes:
        raise InvalidInput(
            f"{path!r} has {status.st_size} bytes, more than the limit of {max_bytes}; "
            f"use a smaller file or raise {PREFIX}MAX_FILE_BYTES"
        )


def _status(path: str, place: Path) -> os.stat_result:
    try:
        return place.stat()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: OSError) -> HandlerError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
        return InvalidInput(f"{path!r} does not exist; files.list lists the files")
    if isinstance(error, PermissionError):
        return PermanentError(
            f"this service has no permission to read {path!r}; change the file's permissions"
        )
    return TransientError(f"{path!r} could not be opened: {error.strerror}")

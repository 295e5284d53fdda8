"""Why a server has ended, in one line: its exit code or signal, and its last error or the disk that is full."""

import errno
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.errors import UnavailableError

_FULL_BYTES: Final = 1024 * 1024
"""A disk with less than this is full: Kafka's largest batch does not fit."""
_READ_BYTES: Final = 64 * 1024
"""Of the end of a log: one that has grown for weeks is not read whole."""
_LONGEST_LINE: Final = 500
_SIGNALLED: Final = 128
"""A shell, and a guardian, report a signal as its number and this."""
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_SPACE_TEXT: Final = ("No space left on device", "Disk quota exceeded")
_ERROR: Final = re.compile(r"\b(?:error|fatal)\b|\w(?:Error|Exception)\b", re.IGNORECASE)
_HARMLESS: Final = re.compile(r"\b(?:trace|debug|info|warn|warning)\b", re.IGNORECASE)


def describe_end(name: str, code: int, log: Path, since: int) -> str:
    """One line. `code` is the exit code, or a signal's number below zero; `since` is where this run begins in `log`,
    bytes."""
    code = code if code >= 0 else _SIGNALLED - code
    ended = f"{name} ended with exit code {code}{_signal_name(code)}"
    lines = _last_lines(log, since)
    if full := full_disk(log.parent):
        return f"{ended}: {full}; its log: {log}"
    if not lines:
        return f"{ended}; its log {log} is empty"
    if error := last_error(lines):
        return f"{ended}; the last error in its log {log}: {error}"
    return f"{ended}; the last line of its log {log}: {_bounded(lines[-1])}"


def last_error(lines: Sequence[str]) -> str:
    """The last of these lines that tells of an error, without the places in code below it; empty if none does. A disk
    that was full comes first: what follows from it says less."""
    errors = [
        line
        for line in lines
        if _ERROR.search(line) and not line[:1].isspace() and not _HARMLESS.search(line)
    ]
    full = [line for line in errors if any(text in line for text in _NO_SPACE_TEXT)]
    found = full or errors
    return _bounded(found[-1]) if found else ""


def full_disk(folder: Path) -> str:
    """Says that the disk of a folder is full; empty if it is not."""
    try:
        free = shutil.disk_usage(folder).free
    except FileNotFoundError:
        return ""
    return f"the disk of {folder} is full" if free < _FULL_BYTES else ""


@contextmanager
def naming_full_disk(folder: Path) -> Iterator[None]:
    """Inside, what finds no space in `folder` raises `UnavailableError` that names it: the error of a write does
    not."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise UnavailableError(f"the disk of {folder} is full: {error.strerror}") from error


def _signal_name(code: int) -> str:
    try:
        return f" ({signal.Signals(code - _SIGNALLED).name})"
    except ValueError:
        return ""


def _last_lines(log: Path, since: int) -> list[str]:
    """The lines at its end that say something. A log that was deleted has none."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - _READ_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def _bounded(line: str) -> str:
    line = line.strip()
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"

"""What a program is given by whoever starts it: arguments, and streams that may be closed, full or of any encoding."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import typer


def check_arguments(given: Sequence[str]) -> None:
    """Raises `UsageError` for an argument that is not text: nothing that holds it could be sent."""
    for number, argument in enumerate(given, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter(f"argument {number} is not UTF-8 text: {argument!a}") from None


def make_streams_safe() -> None:
    """A stream that was closed is there again, one of another encoding shows what it cannot hold as escapes, and one
    without a buffer is written to its end."""
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _safe(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _safe(sys.stderr)


def _safe(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    if isinstance(stream.buffer, io.RawIOBase):
        # With PYTHONUNBUFFERED, Python ignores how much of a text a disk or a pipe has taken.
        whole = _Whole(io.FileIO(stream.fileno(), "w", closefd=False))
        stream = io.TextIOWrapper(whole, encoding=stream.encoding, write_through=True)
    stream.reconfigure(errors="backslashreplace")
    return stream


def discard_output() -> None:
    """What is still buffered goes nowhere: Python would write it when it ends, and fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _discard(stream)


def _discard(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
        stream.flush()


class _Whole(io.BufferedWriter):
    """Writes at once, as a file without a buffer does, and all of what it is given."""

    def write(self, content: Any) -> int:
        written = super().write(content)
        self.flush()
        return written


class _Closed(io.TextIOBase):
    """Standard output that is closed: a command that has something to write says so."""

    @property
    def buffer(self) -> Any:
        return self

    def write(self, _content: Any) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

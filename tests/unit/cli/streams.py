"""Commands whose standard output is full, closed, or read by nobody."""

import io
import os
import sys

import pytest

from orchestrator.cli import main


class Streams:
    """Runs a command in this process, whose standard output is this file descriptor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def ends(self, descriptor: int, *words: str) -> tuple[int, str]:
        errors = io.StringIO()
        with self._patch.context() as patch, os.fdopen(descriptor, "w", encoding="utf-8") as out:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", errors)
            with pytest.raises(SystemExit) as ended:
                main.app(list(words))
        return int(ended.value.code or 0), errors.getvalue()


def full() -> int:
    """A file on a full disk."""
    return os.open("/dev/full", os.O_WRONLY)


def unread() -> int:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing

"""A server that has ended is reported in one line: its exit code or signal, and its last error or the full disk."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.errors import UnavailableError
from orchestrator.local.endings import describe_end, full_disk, last_error, naming_full_disk

FATAL = "2026-11-29T09:22:31,320 ERROR Shutdown broker because all log dirs in /data have failed (LogManager)"
INFO = "2026-11-29T09:22:31,400 INFO App info kafka.server for 1 unregistered (AppInfoParser)"
NO_SPACE = "java.io.IOException: No space left on device"
FRAME = "\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)"

Leave = Callable[[int], None]


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch) -> Leave:
    """Leaves this many free bytes on every disk."""

    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    return leave


def logged(folder: Path, *lines: str) -> Path:
    log = folder / "kafka-1.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    return log


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0;"),
        (1, "exit code 1;"),
        (137, r"exit code 137 \(SIGKILL\);"),
        (-9, r"exit code 137 \(SIGKILL\);"),
        (134, r"exit code 134 \(SIGABRT\);"),
        (255, "exit code 255;"),
    ],
)
def test_the_exit_code_or_signal_is_told(tmp_path: Path, code: int, text: str) -> None:
    assert_matches(
        describe_end("kafka-1", code, logged(tmp_path, INFO, FATAL), 0), f"kafka-1 ended with {text}"
    )


@pytest.mark.parametrize(
    ("before", "error", "after"),
    [
        ([INFO], FATAL, [INFO]),
        ([FATAL], "java.lang.ClassNotFoundException: no.such.Authorizer", [FRAME]),
        (["Unrecognized VM option"], "Error: Could not create the Java Virtual Machine.", []),
        (["Traceback:"], "FileNotFoundError: [Errno 2] No such file or directory: 'java'", []),
        ([], "2026-11-29\terror\tlisten failed", ["2026-11-29\tinfo\tno error any more"]),
        ([], NO_SPACE, [FRAME, FATAL]),
        ([INFO, FRAME, "2026-11-29 WARN Exception trying to get an access token"], "", []),
    ],
)
def test_the_last_error_of_a_log_is_found(before: list[str], error: str, after: list[str]) -> None:
    assert last_error([*before, error, *after]) == error


def test_the_last_error_is_told_in_one_line_with_the_log(tmp_path: Path) -> None:
    log = logged(tmp_path, INFO, FATAL, INFO)

    assert describe_end("kafka-1", 1, log, 0) == (
        f"kafka-1 ended with exit code 1; the last error in its log {log}: {FATAL}"
    )


def test_without_an_error_the_last_line_is_told(tmp_path: Path) -> None:
    log = logged(tmp_path, "up", INFO, "")

    assert describe_end("kafka-1", 137, log, 0).endswith(f"; the last line of its log {log}: {INFO}")


def test_what_an_earlier_run_logged_is_not_told(tmp_path: Path) -> None:
    log = logged(tmp_path, FATAL, INFO)

    assert FATAL not in describe_end("kafka-1", 1, log, len(FATAL))


def test_a_long_log_and_a_long_line_are_cut(tmp_path: Path) -> None:
    log = logged(tmp_path, NO_SPACE, *[INFO] * 100_000, f"Error: {'x' * 10_000}")

    told = describe_end("kafka-1", 1, log, 0)

    assert len(told) < 1_000
    assert "Error: xxx" in told


@pytest.mark.parametrize("lines", [(), (FATAL,)], ids=["empty", "errors"])
def test_a_full_disk_is_named_whatever_the_log_says(
    tmp_path: Path, leave: Leave, lines: tuple[str, ...]
) -> None:
    log = logged(tmp_path, *lines)
    leave(4096)

    assert describe_end("kafka-1", 1, log, 0) == (
        f"kafka-1 ended with exit code 1: the disk of {tmp_path} is full; its log: {log}"
    )


def test_a_disk_that_was_full_is_told_by_the_log(tmp_path: Path, leave: Leave) -> None:
    log = logged(tmp_path, NO_SPACE, FRAME, FATAL)
    leave(10**9)

    assert describe_end("kafka-1", 1, log, 0).endswith(f"; the last error in its log {log}: {NO_SPACE}")


def test_an_empty_or_deleted_log_is_called_empty(tmp_path: Path, leave: Leave) -> None:
    leave(10**9)

    for log in (logged(tmp_path), tmp_path / "gone" / "kafka-1.log"):
        assert describe_end("kafka-1", 1, log, 0) == f"kafka-1 ended with exit code 1; its log {log} is empty"


def test_a_disk_with_space_is_not_full(tmp_path: Path, leave: Leave) -> None:
    leave(2 * 1024 * 1024)
    assert not full_disk(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_without_space_names_the_folder(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(UnavailableError, match=f"the disk of {tmp_path} is full"),
        naming_full_disk(tmp_path),
    ):
        raise OSError(number, os.strerror(number))


def test_another_error_of_a_write_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), naming_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "denied")


def assert_matches(text: str, pattern: str) -> None:
    __tracebackhide__ = True
    assert re.match(pattern, text), text

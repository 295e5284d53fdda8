"""What Linux offers for processes that belong together; elsewhere these do nothing."""

import ctypes
import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


@cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def load() -> None:
    """Loads what the functions below need, so that a child that was just forked need not."""
    _libc()


def die_with_parent() -> None:
    """From now on this process is killed when the thread that forked it ends."""
    if (libc := _libc()) is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """From now on descendants whose parents end become children of this process."""
    if (libc := _libc()) is not None:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """Ids of the children of this process, those that have ended and were not waited for among them."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def thread_count() -> int:
    """Threads of this process, those of libraries among them; 1 where that cannot be known."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are all it needs
    except OSError:
        return 1


def address_space() -> int:
    """Bytes of address space of this process; 0 where that cannot be known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

"""Runs one command and ends it when its owner, the process that started it, has ended for any reason.

A program of its own, `guardian.py OWNER_PID COMMAND...`: it writes the command's process id to standard output,
sends the command's output to its own standard error, and exits with the command's exit code. It exists because
the kernel's mechanism, PR_SET_PDEATHSIG, fires when the *thread* that started the child ends, is missing outside
Linux, and would have to be set between fork and exec of a process with threads. Here a process with a single
thread sets it, so the command also ends when its guardian is killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

CHECK_SECONDS = 0.25
"""How long a command may outlive its owner."""

_PR_SET_PDEATHSIG = 1


def guard(owner: int, command: list[str]) -> int:
    """Run `command` until it ends or `owner`, this process's parent, does; returns its exit code."""
    die_with_us = _die_with(os.getpid()) if sys.platform == "linux" else None
    child = subprocess.Popen(  # noqa: S603 - the command is our owner's
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=die_with_us
    )

    def forward(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    print(child.pid, flush=True)  # noqa: T201 - the owner waits for it

    def watch() -> None:
        while os.getppid() == owner:
            time.sleep(CHECK_SECONDS)
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _die_with(guardian: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The guardian may have died before the line above took effect.
        if os.getppid() != guardian:
            os._exit(1)

    return prepare


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2:]))

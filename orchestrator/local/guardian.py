"""Runs one command and ends it when the process that asked for it is gone, however that one ended.

A program by itself, `guardian.py OWNER_PID COMMAND...`: it writes the command's process id to its standard
output, sends the command's output to its own standard error, and leaves with the command's exit code.
It exists because the kernel's own way, PR_SET_PDEATHSIG, fires when the *thread* that started the child
ends, is missing outside Linux, and would have to be set between fork and exec of a process with threads.
Here it is set by a process that has only one, so a killed guardian takes its command along as well.
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
    print(child.pid, flush=True)  # noqa: T201 - what the owner waits for

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

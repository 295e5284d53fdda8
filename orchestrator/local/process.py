"""One server process: started under a guardian, watched, signalled, and never orphaned."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.endings import describe_end

_GUARDIAN = Path(__file__).with_name("guardian.py")
_POLL_SECONDS = 0.02


class EndedError(UnavailableError):
    """A server process has ended. The text is one line that says why."""


class ServerProcess:
    """The process `name`, with `name.log` (its output) and `name.pid` in `folder`.

    `folder` must be part of the command: it distinguishes an orphan of an earlier run from another process with
    the same id. Not for several threads at once.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._pid_file = folder / f"{name}.pid"
        self._guardian: subprocess.Popen[str] | None = None
        self._pid = 0
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The id of the server itself. Raises `UnavailableError` if it is not running."""
        self.require_running()
        return self._pid

    @property
    def running(self) -> bool:
        return self._guardian is not None and self._guardian.poll() is None

    def start(self, command: Sequence[str]) -> None:
        """Start the command. The log is continued if this object started it before, and begins empty otherwise."""
        if self.running:
            raise UnavailableError(f"{self.name} is already running, as process {self._pid}")
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._guardian is None and self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        self._pid = 0
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            guardian = subprocess.Popen(  # noqa: S603 - our own script, and a command of ours
                [sys.executable, "-I", "-S", str(_GUARDIAN), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C in the terminal is for this process, which then stops the server in order.
                start_new_session=True,
            )
        self._guardian = guardian
        assert guardian.stdout  # noqa: S101 - a pipe was asked for
        with guardian.stdout as output:
            pid = output.readline()
        if not pid:
            guardian.wait()
            raise self._death()
        self._pid = int(pid)
        self._pid_file.write_text(pid)

    def require_running(self) -> None:
        """Raises `EndedError` if the process has ended, `UnavailableError` if it was never started."""
        if self._guardian is None:
            raise UnavailableError(f"{self.name} has not been started")
        if self._guardian.poll() is not None:
            raise self._death()

    def await_serving(
        self,
        serves: Callable[[], bool],
        deadline: Deadline,
        require_running: Callable[[], None] | None = None,
    ) -> None:
        """Wait until `serves()`. Raises `EndedError` if the process ends first, `UnavailableError` at the deadline.

        `require_running` is for a server that needs others to serve: it raises if one of them or this one has ended.
        """
        require_running = require_running or self.require_running
        while not serves():
            require_running()
            if deadline.passed:
                raise UnavailableError(
                    f"{self.name} is running but did not serve by the deadline: allow more time, or see its log "
                    f"{self.log}"
                )
            time.sleep(_POLL_SECONDS)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until it has ended."""
        self.send(signal.SIGKILL)
        self._reap(None)

    def terminate(self) -> None:
        """Ask it to end in order, without waiting. Does nothing if it has ended."""
        if self.running:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a paused process would not see the SIGTERM

    def stop(self, deadline: Deadline) -> None:
        """End it in order, or with SIGKILL once the deadline has passed. Does nothing if it has ended."""
        if self._guardian is None:
            return
        self.terminate()
        try:
            self._reap(deadline.remaining())
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._reap(None)

    def end_orphan(self, deadline: Deadline) -> None:
        """End the process of an earlier run, if it still runs. Only the folder's owner may call it."""
        if self._guardian is not None or not self._pid_file.exists():
            return
        text = self._pid_file.read_text().strip()
        if text.isdecimal():
            pid = int(text)
            kill_at = Deadline.after(deadline.remaining() / 2)
            while str(self._folder) in _command_line(pid):
                if deadline.passed:
                    raise UnavailableError(f"{self.name} of an earlier run does not end: kill process {pid}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if kill_at.passed else signal.SIGTERM)
                time.sleep(_POLL_SECONDS)
        self._pid_file.unlink()

    def _signal(self, number: signal.Signals) -> None:
        assert self._guardian  # noqa: S101 - callers have looked
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
        else:  # the start was interrupted before the server's id was known; 0 would be our own group
            self._guardian.send_signal(number)

    def _reap(self, timeout: float | None) -> None:
        assert self._guardian  # noqa: S101 - callers have looked
        self._guardian.wait(timeout)
        self._pid_file.unlink(missing_ok=True)

    def _death(self) -> EndedError:
        assert self._guardian  # noqa: S101 - callers have looked
        return EndedError(describe_end(self.name, self._guardian.returncode, self.log, self._log_start))


def _command_line(pid: int) -> str:
    """The command line of a process, empty if the process does not exist."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(  # noqa: S603 - a number, no shell
        ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - the path of ps differs between systems
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout

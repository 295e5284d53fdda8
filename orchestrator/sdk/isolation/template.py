"""The process that runs are forked from: it has imported what they need, and has one thread.

It lives as long as the executor holds the other end of its channel. Each request on the channel is one packet of
JSON; a request to start a run brings two file descriptors with it: the channel of the run, and the file for what
it prints.
"""

import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.sdk.isolation import child, linux
from orchestrator.sdk.isolation.target import Target

PACKET: Final = 64 << 10
"""Most bytes of a request or a notice."""
GRACE_S: Final = 1.0
"""How long after its deadline a run is left to the executor, which knows what to report."""

BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from orchestrator.sdk.isolation.template import main; main(int(sys.argv[1]))"
)
"""What a new interpreter runs as the template; its arguments are a file descriptor and `sys.path`."""
_BOOT_RUN: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[4]); "
    "from orchestrator.sdk.isolation.child import main; main(*map(int, sys.argv[1:4]))"
)


def main(control: int) -> None:
    """Serves requests until the executor is gone, then kills what still runs."""
    linux.load()
    linux.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Template(socket.socket(fileno=control)).serve()
    os._exit(0)


@dataclass
class _Template:
    control: socket.socket
    pids: dict[int, int] = field(default_factory=dict)
    """Number of each run by its process."""
    deadlines: dict[int, float] = field(default_factory=dict)
    """When the process of a run is killed at the latest."""
    folders: dict[int, str] = field(default_factory=dict)
    """The working directory of each run, which the executor deletes if it lives."""
    overdue: set[int] = field(default_factory=set)
    """Processes that were killed at their deadline."""
    is_warm: bool = False

    def serve(self) -> None:
        woken, wakes = os.pipe()
        for end in (woken, wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        with selectors.DefaultSelector() as ready:
            ready.register(self.control, selectors.EVENT_READ)
            ready.register(woken, selectors.EVENT_READ)
            while self._step(ready, woken):
                pass
        _kill_all(self.pids)
        for folder in self.folders.values():
            shutil.rmtree(folder, ignore_errors=True)

    def _step(self, ready: selectors.BaseSelector, woken: int) -> bool:
        """False when the executor is gone."""
        due = min(self.deadlines.values(), default=None)
        for key, _ in ready.select(None if due is None else max(0.0, due - time.monotonic())):
            if key.fd == woken:
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
            elif not self._request():
                return False
        for pid in [pid for pid, due in self.deadlines.items() if due <= time.monotonic()]:
            _kill(pid)
            self.overdue.add(pid)
            del self.deadlines[pid]
        return self._reap()

    def _request(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self.control, PACKET, 2)
        if not packet:
            return False
        request = json.loads(packet)
        if "warm" in request:
            # What is wrong with the module, the first run says.
            with suppress(BaseException):
                Target(**request["warm"]).load_module()
            return True
        if "kill" in request:
            for pid in [pid for pid, number in self.pids.items() if number == request["kill"]]:
                _kill(pid)
            return True
        try:
            self._start(request, *descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start(self, request: dict[str, Any], run: int, output: int) -> None:
        number = request["start"]
        try:
            Target(**request["preload"]).load_module()
        except BaseException as error:  # noqa: BLE001 - the code of a plug-in, which may raise anything
            self._notify({"refused": number, "reason": f"{type(error).__name__}: {error}"[:2_000]})
            return
        pid = self._fork(run, output) if linux.thread_count() == 1 else _executed(run, output)
        self.pids[pid] = number
        self.folders[pid] = request["folder"]
        self.deadlines[pid] = time.monotonic() + request["wall_s"] + GRACE_S

    def _fork(self, run: int, output: int) -> int:
        if not self.is_warm:
            # Collecting in a child would copy every page that the imports filled.
            self.is_warm = True
            gc.collect()
            gc.freeze()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                child.main(run, output, parent)
            finally:
                os._exit(1)
        return pid

    def _reap(self) -> bool:
        """Says how runs ended. Whatever belongs to one is killed while its process is still a zombie: afterwards its
        number could be another process's. False when nobody hears it."""
        while (pid := _ended(self.pids)) is not None:
            _kill(pid)
            _, status = os.waitpid(pid, 0)
            self.deadlines.pop(pid, None)
            self.folders.pop(pid, None)
            notice = {"ended": self.pids.pop(pid), "status": status, "overdue": pid in self.overdue}
            self.overdue.discard(pid)
            if not self._notify(notice):
                return False
        self._kill_orphans()
        return True

    def _kill_orphans(self) -> None:
        """Processes that left the group of a run and outlived the one that started them came to this process."""
        for pid in linux.children():
            if pid in self.pids:
                continue
            with suppress(OSError):
                if os.getpgid(pid) in self.pids:
                    continue
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, 0)

    def _notify(self, notice: dict[str, Any]) -> bool:
        try:
            self.control.send(json.dumps(notice).encode())
        except OSError:
            return False
        return True


def _ended(pids: dict[int, int]) -> int | None:
    for pid in pids:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return pid
    return None


def _kill(pid: int) -> None:
    """Kills a run and its process group."""
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


def _kill_all(pids: Iterable[int]) -> None:
    """Kills the runs, and everything that comes to this process as their processes end."""
    for pid in pids:
        _kill(pid)
    while left := linux.children():
        for pid in left:
            _kill(pid)
            with suppress(OSError):
                os.waitpid(pid, 0)


def _executed(run: int, output: int) -> int:
    """Starts a run in a new interpreter. A module of the tool has started a thread, and a process that was forked
    with threads may wait for ever for a lock which one of them held."""
    for descriptor in (run, output):
        os.set_inheritable(descriptor, True)
    arguments = [str(run), str(output), str(os.getpid()), json.dumps(sys.path)]
    return os.posix_spawn(sys.executable, [sys.executable, "-I", "-c", _BOOT_RUN, *arguments], os.environ)

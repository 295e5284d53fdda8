"""The templates of this process: started when a run needs one, again after one has died, ended with this process."""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from orchestrator.sdk.isolation.limits import INHERITED
from orchestrator.sdk.isolation.run import Run
from orchestrator.sdk.isolation.target import Target
from orchestrator.sdk.isolation.template import BOOT, PACKET

_END_S: Final = 2.0


class Template:
    """A process that runs are forked from, and the thread that hears how they end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._last = 0
        self.is_dead = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = [os.path.abspath(path) for path in sys.path]  # noqa: PTH100 - "" is the current folder
        # Fewer arenas: each reserves 64 MB of address space, which is what the limit of memory counts.
        variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
        variables |= {"MALLOC_ARENA_MAX": "2"}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-I", "-c", BOOT, str(theirs.fileno()), json.dumps(paths)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=variables,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="isolated runs", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, run: Run, request: dict[str, Any], descriptors: tuple[int, int]) -> bool:
        """Asks for a process for a run. False if there will be none."""
        with self._lock:
            if self.is_dead:
                return False
            self._last += 1
            self._runs[self._last] = run
            run.on_start(self, self._last)
            packet = json.dumps({"start": self._last, **request}).encode()
            with suppress(OSError):
                socket.send_fds(self._control, [packet], descriptors)
                return True
            del self._runs[self._last]
        run.on_end(None)
        return False

    def warm(self, target: Target) -> None:
        """Imports a module ahead of the first run that needs it."""
        with self._lock:
            if not self.is_dead:
                with suppress(OSError):
                    self._control.send(json.dumps({"warm": vars(target)}).encode())

    def kill(self, number: int) -> None:
        """Kills the process of a run, and its group; nothing happens if it has ended."""
        with self._lock:
            if number in self._runs and not self.is_dead:
                with suppress(OSError):
                    self._control.send(json.dumps({"kill": number}).encode())

    def abandon(self) -> None:
        """Kills the process, which ends all its runs. For one that does not respond."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process, which kills all runs."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        while True:
            try:
                packet = self._control.recv(PACKET)
            except OSError:
                packet = b""
            if not packet:
                break
            notice = json.loads(packet)
            with self._lock:
                run = self._runs.pop(notice["ended"] if "ended" in notice else notice["refused"])
            run.on_end(
                notice.get("status"), notice.get("reason", ""), is_overdue=notice.get("overdue", False)
            )
        with self._lock:
            self.is_dead = True
            left, self._runs = list(self._runs.values()), {}
            self._control.close()
        self._process.wait()
        for run in left:
            run.on_end(None)


class _Templates:
    """One template for each package that runs are in, so that the threads and the memory of one are not the
    others'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_package: dict[str, Template] = {}

    def get(self, package: str) -> Template:
        with self._lock:
            known = self._by_package.get(package)
            if known is None or known.is_dead:
                known = self._by_package[package] = Template()
            return known

    def close(self) -> None:
        with self._lock:
            templates, self._by_package = list(self._by_package.values()), {}
        for one in templates:
            one.close()


templates: Final = _Templates()
atexit.register(templates.close)

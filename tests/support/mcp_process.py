"""The server of `mcp_server` as a process of a test, and what it wrote into its diary."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
_SERVER: Final = "tests.support.mcp_server"


class Diary:
    """What servers wrote that use this file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "diary.txt"
        self.path.touch()

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    @property
    def started(self) -> list[int]:
        """Ids of the processes, in the order in which they were started."""
        return [int(line.split()[1]) for line in self.lines if line.startswith("started")]

    @property
    def asked(self) -> list[str]:
        """What they were asked to do."""
        return [line for line in self.lines if not line.startswith(("started", "ended"))]

    @property
    def command(self) -> list[str]:
        """How a server over stdio is started, in the project's folder."""
        return [sys.executable, "-m", _SERVER, str(self.path)]


def is_running(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class HttpServer:
    """A server over HTTP. Started again, it has the port that it had."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Returns when it can be connected to."""
        command = [*self._diary.command, str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Ends it at once; returns when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

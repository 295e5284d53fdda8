"""A process with one slot of the orchestrator, for tests that kill it: `python -m tests.support.saga_process SERVERS
PREFIX PARTITIONS SLOT VALUES [STEP COUNT]`. It kills itself when it reaches STEP for the COUNT-th time.

Prints `ready` once it owns its partitions. Exits with status 3 if another process has its slot.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.bus.errors import FencedError
from tests.support.saga_lab import SagaLab
from tests.support.workers import Lab, lab_settings, until

FENCED = 3
SESSION_MS = 6_000
"""Session timeout: the shortest that a broker accepts."""


def main(
    servers: str, prefix: str, partitions: str, slot: str, values: str, step: str = "", at: str = "0"
) -> None:
    settings = lab_settings(
        servers,
        prefix,
        int(partitions),
        heartbeat_interval_ms="300",
        session_timeout_ms=str(SESSION_MS),
        max_poll_interval_ms="60000",
    )
    lab = SagaLab(Lab(settings), Path(values))
    left = int(at)

    def crash(name: str) -> None:
        nonlocal left
        if name == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    loop = lab.loop(int(slot), on_step=crash)

    def report_ready() -> None:
        loop.ready.wait()
        print("ready", flush=True)  # noqa: T201 - the test waits for it

    threading.Thread(target=report_ready, daemon=True).start()
    try:
        loop.run()
    except FencedError:
        sys.exit(FENCED)


class SagaProcess:
    """The process as its test controls it."""

    def __init__(self, lab: SagaLab, slot: int, values: Path, step: str = "", at: int = 0) -> None:
        settings = lab.installation.settings
        command = [sys.executable, "-m", "tests.support.saga_process", settings.bootstrap_servers]
        command += [settings.topic_prefix, str(lab.partitions), str(slot), str(values), step, str(at)]
        self._output: list[str] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        self._output += iter(self.process.stdout.readline, "")

    def until_ready(self) -> None:
        until(
            lambda: bool(self._output) or self.process.poll() is not None, "the process owns its partitions"
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 60) -> int:
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kills it without any cleanup, as when a machine dies."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def saga_process(lab: SagaLab, slot: int, values: Path, step: str = "", at: int = 0) -> Iterator[SagaProcess]:
    process = SagaProcess(lab, slot, values, step, at)
    try:
        yield process
    finally:
        process.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])

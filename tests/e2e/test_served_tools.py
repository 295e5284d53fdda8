"""A process with an agent that has a server of tools: what becomes of the server when the process ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.settings import Settings
from orchestrator.app.wiring import wire_embedded
from orchestrator.client import Client
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from tests.support.mcp_process import ROOT, Diary, is_running

WAIT_S = 240.0


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    broker: str
    folder: Path
    log: Path

    @property
    def diary(self) -> Diary:
        return Diary(self.folder)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}:\n{self.log.read_text()}"
            time.sleep(0.05)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """The process of `served_desk`, as soon as it runs and its server has started."""
    log = folder / "log.txt"
    topics = {f"agents.{spec.topic}": spec.partitions or 1 for spec in TOPICS}
    with EmbeddedCluster(topics) as cluster, log.open("wb") as output:
        broker = cluster.bootstrap_servers
        command = [sys.executable, "-m", "tests.support.served_desk", broker, str(folder)]
        with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output) as process:
            try:
                running = Served(process, broker, folder, log)
                running.until(lambda: "running orchestrator" in log.read_text(), "it runs")
                running.until(
                    lambda: "desk.shelves has 5 tools" in log.read_text(), "its server has named its tools"
                )
                yield running
            finally:
                process.kill()


async def test_a_session_uses_the_server_which_ends_with_the_process(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        settings = Settings(
            bootstrap_servers=running.broker, values_url=str(tmp_path / "values"), partitions=1
        )
        async with Client(wire_embedded(settings)) as client:
            handle = await client.submit("How many?", agent="desk")
            assert await handle.result() == "counted"
        assert running.diary.asked == ["count 3"]

        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(WAIT_S) == 0

        (server,) = running.diary.started
        assert running.diary.lines[-1] == f"ended {server}"
        assert not is_running(server)


def test_a_process_that_is_killed_leaves_no_server(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        running.process.kill()
        running.process.wait()

        (server,) = running.diary.started
        running.until(lambda: not is_running(server), "the server has ended")

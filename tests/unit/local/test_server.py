"""A server that does not start leaves nothing behind; one that runs is not stopped by another's attempt."""

import errno
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.ports import lease_port
from orchestrator.local.server import FolderServer


class Server(FolderServer):
    NAME: ClassVar = "the server"

    def __init__(
        self, folder: Path, fails_in: str = "", error: BaseException | type[BaseException] = KeyboardInterrupt
    ) -> None:
        super().__init__(folder)
        self.steps: list[str] = []
        self.port = 0
        self._fails_in = fails_in
        self._error = error

    def prepare(self) -> None:
        self._step("prepare")

    def _launch(self, _deadline: Deadline) -> None:
        self.port = self._leases.add(self.port)
        self._step("launch")

    def _await_ready(self, _deadline: Deadline) -> None:
        self._step("await")

    def _stop(self, _deadline: Deadline) -> None:
        self._step("stop")

    def reset(self) -> None:
        with self._stopped():
            self._step("reset")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self._fails_in:
            raise self._error


def test_a_server_starts_in_order_and_stops_at_the_end_of_its_statement(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert server.steps == ["prepare", "launch", "await"]
    assert server.steps[3:] == ["stop"]


@pytest.mark.parametrize("step", ["launch", "await"])
def test_an_interrupted_start_stops_it_and_frees_its_port_and_folder(tmp_path: Path, step: str) -> None:
    server = Server(tmp_path, fails_in=step)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert server.steps[-1] == "stop"

    lease_port(server.port).release()
    with Server(tmp_path):
        pass


def test_a_folder_in_use_is_refused_and_its_server_goes_on(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        other = Server(tmp_path)
        with pytest.raises(UnavailableError, match="in use by process"):
            other.start()
        with pytest.raises(UnavailableError, match="in use by process"):
            server.start()
        assert "stop" not in [*server.steps, *other.steps]


def test_a_reset_stops_it_first_and_lets_it_start_again_on_its_port(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        port = server.port
        server.reset()
        assert server.steps[-2:] == ["stop", "reset"]
        server.start()
        assert server.port == port


def test_a_folder_without_space_is_named_and_free_again(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    server = Server(tmp_path, fails_in="launch", error=full)

    with pytest.raises(UnavailableError, match=f"the disk of {tmp_path} is full"):
        server.start()

    assert server.steps[-1] == "stop"
    with Server(tmp_path):
        pass

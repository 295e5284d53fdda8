"""A real schema registry on this machine: Apicurio Registry 3, spoken to by Confluent's protocol."""

import http.client
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import jars
from orchestrator.local.locks import FolderLock
from orchestrator.local.ports import PortLease, lease_free_port, lease_port
from orchestrator.local.process import ServerProcess
from orchestrator.local.startup_cache import (
    QUICK_START,
    TRAINING_SECONDS,
    ensure_startup_cache,
    startup_options,
)

START_SECONDS = 120.0
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0


class LocalRegistry:
    """Apicurio Registry 3.3 with its schemas in `folder`; start again and it has the same URL and schemas.

    It refuses nothing until a compatibility level has been set (`PUT /config`). `port` fixes its port; a free
    one is taken, and remembered, without it. The process ends when this process does, however it ends.
    Not for several threads.
    """

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self._folder = folder.absolute()
        self._wanted_port = port
        self._lock = FolderLock(self._folder)
        self._leases: list[PortLease] = []
        self._process = ServerProcess("registry", self._folder)

    def __enter__(self) -> Self:
        self.prepare()
        self.start(Deadline.after(START_SECONDS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the Confluent-compatible API, for any client of a schema registry."""
        if not self._leases:
            raise UnavailableError("This registry is not running: call start() first.")
        return _url(self._leases[0].port)

    @property
    def log(self) -> Path:
        return self._process.log

    @staticmethod
    def prepare() -> None:
        """Fetch and unpack the registry if this machine has not got it; takes up to a minute."""
        ensure_startup_cache(jars.registry_folder(), _train)

    def start(self, deadline: Deadline) -> None:
        """Start it and wait until it lists its subjects.

        Raises `UnavailableError` with the end of its log if it dies or does not serve by the deadline; nothing
        is left running then.
        """
        self.launch(deadline)
        self.await_ready(deadline)

    def launch(self, deadline: Deadline) -> None:
        """The first half of `start`, for starting something else meanwhile: it runs, but does not serve."""
        self._lock.acquire()
        try:
            self.prepare()
            self._process.end_orphan(deadline)
            self._lease_ports()
            options = startup_options(jars.registry_folder())
            self._process.start(_command(self._folder, self._leases, options))
        except BaseException:
            self.stop()
            raise

    def await_ready(self, deadline: Deadline) -> None:
        """The second half of `start`: wait until it lists its subjects."""
        try:
            _await_answer(self._process, self._leases, deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self, deadline: Deadline | None = None) -> None:
        """End it in order, with SIGKILL after the deadline (15 s by default). Schemas and port stay."""
        self._process.stop(deadline or Deadline.after(STOP_SECONDS))
        for lease in self._leases:
            lease.release()
        self._leases = []
        self._lock.release()

    def reset(self) -> None:
        """Forget every schema, stopping it first; the port stays."""
        self.stop()
        self._lock.acquire()
        try:
            shutil.rmtree(self._folder / "data", ignore_errors=True)
        finally:
            self._lock.release()

    def kill(self) -> None:
        """End it with SIGKILL and return when it is gone. Its port stays ours."""
        self._process.kill()

    @property
    def _ports_file(self) -> Path:
        return self._folder / "ports.json"

    def _lease_ports(self) -> None:
        """Lease the API's port, then one for the management interface."""
        known: list[int] = json.loads(self._ports_file.read_text()) if self._ports_file.exists() else []
        api = self._wanted_port or (known[0] if known else None)
        # One by one into the list, so that `stop` lets go of the first if there is no second.
        self._leases.append(lease_port(api) if api else lease_free_port())
        self._leases.append(lease_free_port())
        self._ports_file.write_text(json.dumps([self._leases[0].port]))


def _await_answer(process: ServerProcess, leases: Sequence[PortLease], deadline: Deadline) -> None:
    while not _answers(f"{_url(leases[0].port)}/subjects"):
        process.require_running()
        if deadline.passed:
            raise UnavailableError(
                "The registry runs but does not answer in time. "
                f"Give it longer, or see what it waits for in its log {process.log}."
            )
        time.sleep(_POLL_SECONDS)


def _command(folder: Path, leases: Sequence[PortLease], options: Sequence[str]) -> list[str]:
    """The command line; `leases` are of the API's port and the management interface's."""
    port, management_port = (lease.port for lease in leases)
    data = folder / "data" / "registry"
    if ";" in str(data):
        raise ConfigurationError(
            f"The registry's data cannot lie in a folder with a semicolon in its path: {data}"
        )
    settings = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": port,
        # Without these two it opens port 9000 on every interface.
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": management_port,
        "quarkus.http.access-log.enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{data};WRITE_DELAY=0",
    }
    return [
        str(jars.java()),
        "-Xmx384m",
        *QUICK_START,
        *options,
        *(f"-D{name}={value}" for name, value in settings.items()),
        "-jar",
        str(jars.registry_folder() / "quarkus-run.jar"),
    ]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/apis/ccompat/v7"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as response:  # noqa: S310 - our own address
            return bool(response.status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False


def _train(option: str) -> None:
    """Run a registry with this JVM option until it serves."""
    deadline = Deadline.after(TRAINING_SECONDS)
    leases = [lease_free_port(), lease_free_port()]
    with tempfile.TemporaryDirectory(prefix="registry-") as name:
        process = ServerProcess("registry", Path(name))
        try:
            process.start(_command(Path(name), leases, [option]))
            _await_answer(process, leases, deadline)
        finally:
            process.stop(deadline)
            for lease in leases:
                lease.release()

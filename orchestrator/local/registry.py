"""A real schema registry on this machine: Apicurio Registry 3, by its Confluent-compatible API."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError
from orchestrator.local import jars
from orchestrator.local.ports import PortLeases
from orchestrator.local.process import ServerProcess
from orchestrator.local.server import FolderServer, http_answers
from orchestrator.local.startup_cache import (
    QUICK_START,
    TRAINING_SECONDS,
    ensure_startup_cache,
    startup_options,
)
from orchestrator.local.whole_files import write_whole

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class LocalRegistry(FolderServer):
    """Apicurio Registry 3.3 with its schemas in `folder`; a restart has the same URL and schemas.

    It accepts every schema until a compatibility level is set (`PUT /config`). `port` sets its port; by default a
    free one is chosen and remembered. `properties` change or add settings of Apicurio. It serves once it lists its
    subjects, or asks who wants to know. The process ends when this process does, however it ends. Not for several
    threads.
    """

    NAME: ClassVar = "the local registry"

    def __init__(
        self, folder: Path, *, port: int | None = None, properties: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder)
        self._properties = dict(properties or {})
        self._wanted_port = port
        self._process = ServerProcess("registry", self._folder)

    @property
    def url(self) -> str:
        """The address of the Confluent-compatible API, for clients of a schema registry."""
        if not self._leases.ports:
            raise self._not_running()
        return _url(self._leases.ports[0])

    @property
    def log(self) -> Path:
        return self._process.log

    @property
    def processes(self) -> Iterable[ServerProcess]:
        return [self._process]

    def prepare(self) -> None:
        """Fetch and unpack the registry if this machine lacks it; takes up to a minute."""
        ensure_startup_cache(jars.registry_folder(), _train)

    def _launch(self, deadline: Deadline) -> None:
        self._process.end_orphan(deadline)
        self._lease_ports()
        options = startup_options(jars.registry_folder())
        self._process.start(_command(self._folder, self._leases.ports, options, self._properties))

    def _await_ready(self, deadline: Deadline) -> None:
        _await_subjects(self._process, self.url, deadline)

    def _stop(self, deadline: Deadline) -> None:
        self._process.stop(deadline)

    def reset(self) -> None:
        """Forget every schema, stopping it first; the port stays."""
        with self._stopped():
            shutil.rmtree(self._folder / "data", ignore_errors=True)

    def kill(self) -> None:
        """End it with SIGKILL and wait until it has ended. Its port stays leased."""
        self._process.kill()

    @property
    def _ports_file(self) -> Path:
        return self._folder / "ports.json"

    def _lease_ports(self) -> None:
        """Lease the API's port, then one for the management interface."""
        known: list[int] = json.loads(self._ports_file.read_text()) if self._ports_file.exists() else []
        api = self._leases.add(self._wanted_port or (known[0] if known else None))
        self._leases.add()
        write_whole(self._ports_file, json.dumps([api]))


def _await_subjects(process: ServerProcess, url: str, deadline: Deadline) -> None:
    process.await_serving(
        lambda: http_answers(f"{url}/subjects", (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED)), deadline
    )


def _command(
    folder: Path, ports: Sequence[int], options: Sequence[str], properties: Mapping[str, str] = _NONE
) -> list[str]:
    """The command line; `ports` are the API's and the management interface's."""
    port, management_port = ports
    data = folder / "data" / "registry"
    if ";" in str(data):
        raise ConfigurationError(f"the path of the registry's data must not contain a semicolon: {data}")
    settings = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": port,
        # Without these two it listens on port 9000 of every interface.
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": management_port,
        "quarkus.http.access-log.enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{data};WRITE_DELAY=0",
        **properties,
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


def _train(option: str) -> None:
    """Run a registry with this JVM option until it serves."""
    deadline = Deadline.after(TRAINING_SECONDS)
    with PortLeases() as leases, tempfile.TemporaryDirectory(prefix="registry-") as name:
        ports = leases.add(), leases.add()
        process = ServerProcess("registry", Path(name))
        try:
            process.start(_command(Path(name), ports, [option]))
            _await_subjects(process, _url(ports[0]), deadline)
        finally:
            process.stop(deadline)

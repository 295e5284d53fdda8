"""Jaeger on this machine: receives spans by OTLP and shows traces, which it keeps in memory while it runs."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError
from orchestrator.local.process import ServerProcess
from orchestrator.local.server import FolderServer, http_answers

PAGE_PORT: Final = 16686
"""The usual port of Jaeger's page."""
_CHECKOUT: Final = Path(__file__).parents[2]
_MAX_TRACES: Final = 100_000
_BATCH: Final = "200ms"
"""How long a span waits in a batch before it can be seen: developers look at traces at once."""


def jaeger_program(named: str = "") -> Path:
    """The program `named`, a path or a name on the PATH; by default `jaeger`, or the one that was built in this
    checkout. Raises `ConfigurationError` that says how to get it."""
    if found := shutil.which(named or "jaeger"):
        return Path(found)
    built = [] if named else sorted(_CHECKOUT.glob(".cache/tools/jaeger-*/jaeger"), key=os.path.getmtime)
    if built:
        return built[-1]
    raise ConfigurationError(
        f"program {named or 'jaeger'} not found: put Jaeger 2 from https://www.jaegertracing.io/download/ on the "
        "PATH, set ORCHESTRATOR_JAEGER to its path or, in a checkout and with Go, build it with `make jaeger`"
    )


class LocalJaeger(FolderServer):
    """Jaeger 2 in one process, on 127.0.0.1. `folder` holds its log and configuration.

    `port` is the port of its page and HTTP API; if it is None, a free one is chosen, as for OTLP. The process ends
    when this process does, however it ends; its traces are lost then. Not for several threads.
    """

    NAME: ClassVar = "the local Jaeger"
    START_SECONDS: ClassVar = 30.0
    STOP_SECONDS: ClassVar = 10.0

    def __init__(self, program: Path, folder: Path, *, port: int | None = PAGE_PORT) -> None:
        super().__init__(folder)
        self._program = program
        self._wanted_port = port
        self._process = ServerProcess("jaeger", self._folder)

    @property
    def url(self) -> str:
        """The address of its page; a trace is at `/trace/` and its id below."""
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def otlp_endpoint(self) -> str:
        """The address that receives spans, OTLP over gRPC."""
        return f"http://127.0.0.1:{self._ports[1]}"

    @property
    def processes(self) -> Iterable[ServerProcess]:
        return [self._process]

    def prepare(self) -> None:
        """Nothing to fetch: the program exists."""

    def _launch(self, deadline: Deadline) -> None:
        self._process.end_orphan(deadline)
        page, otlp, api = self._leases.add(self._wanted_port), self._leases.add(), self._leases.add()
        settings = self._folder / "jaeger.yaml"
        settings.write_text(yaml.safe_dump(_settings(page, otlp, api)), encoding="utf-8")
        self._process.start([str(self._program), "--config", str(settings)])

    def _await_ready(self, deadline: Deadline) -> None:
        self._process.await_serving(lambda: http_answers(f"{self.url}/api/services"), deadline)

    def _stop(self, deadline: Deadline) -> None:
        self._process.stop(deadline)

    @property
    def _ports(self) -> tuple[int, ...]:
        """Of its page, of OTLP, and of a second API that cannot be disabled."""
        if not self._leases.ports:
            raise self._not_running()
        return self._leases.ports


def _settings(page: int, otlp: int, api: int) -> dict[str, Any]:
    """Jaeger's configuration: it listens on these ports only."""

    def at(port: int) -> dict[str, str]:
        return {"endpoint": f"127.0.0.1:{port}"}

    pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {"traces": pipeline},
            "telemetry": {"metrics": {"level": "none"}},
        },
        "extensions": {
            "jaeger_query": {"storage": {"traces": "memory"}, "http": at(page), "grpc": at(api)},
            "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": _MAX_TRACES}}}},
        },
        "receivers": {"otlp": {"protocols": {"grpc": at(otlp)}}},
        "processors": {"batch": {"timeout": _BATCH}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
    }

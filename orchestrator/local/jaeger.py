"""Jaeger on this machine: takes spans by OTLP and shows traces. It keeps them in memory, while it runs."""

import http.client
import os
import shutil
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local.ports import PortLease, lease_free_port, lease_port
from orchestrator.local.process import ServerProcess

PAGE_PORT: Final = 16686
"""Where people expect Jaeger's page."""
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
_CHECKOUT: Final = Path(__file__).parents[2]
_MAX_TRACES: Final = 100_000
_BATCH: Final = "200ms"
"""How long a span waits for others before it can be seen: a developer looks at once."""
_POLL_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 5.0


def jaeger_program(named: str = "") -> Path:
    """The Jaeger that `named` says, a path or a name on the PATH; by default `jaeger`, or the one that was built
    in this checkout. Raises `ConfigurationError` that says how to get it."""
    if found := shutil.which(named or "jaeger"):
        return Path(found)
    built = [] if named else sorted(_CHECKOUT.glob(".cache/tools/jaeger-*/jaeger"), key=os.path.getmtime)
    if built:
        return built[-1]
    raise ConfigurationError(
        f"there is no program {named or 'jaeger'}: put Jaeger 2 from https://www.jaegertracing.io/download/ on the "
        "PATH, name it in ORCHESTRATOR_JAEGER or, in a checkout and with Go, build it with `make jaeger`"
    )


class LocalJaeger:
    """Jaeger 2 in one process, on 127.0.0.1. `folder` takes its log and configuration.

    `port` is that of its page and its HTTP API; without it, and for OTLP, free ones are taken. The process ends
    when this process does, however it ends. Not for several threads.
    """

    def __init__(self, program: Path, folder: Path, *, port: int | None = PAGE_PORT) -> None:
        self._program = program
        self._folder = folder.absolute()
        self._wanted_port = port
        self._leases: list[PortLease] = []
        self._process = ServerProcess("jaeger", self._folder)

    def __enter__(self) -> Self:
        self.start(Deadline.after(START_SECONDS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where its page is: a trace's is `/trace/` and the trace id behind that."""
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def otlp_endpoint(self) -> str:
        """Where it takes spans, OTLP over gRPC."""
        return f"http://127.0.0.1:{self._ports[1]}"

    def start(self, deadline: Deadline) -> None:
        """Start it and wait until it answers. Raises `UnavailableError` with the end of its log if it does not by
        the deadline; nothing is left running then."""
        try:
            self._process.end_orphan(deadline)
            self._leases.append(lease_port(self._wanted_port) if self._wanted_port else lease_free_port())
            self._leases += [lease_free_port(), lease_free_port()]
            settings = self._folder / "jaeger.yaml"
            self._folder.mkdir(parents=True, exist_ok=True)
            settings.write_text(yaml.safe_dump(_settings(*self._ports)), encoding="utf-8")
            self._process.start([str(self._program), "--config", str(settings)])
            self._await_answer(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self, deadline: Deadline | None = None) -> None:
        """End it in order, with SIGKILL after the deadline (10 s by default). Its traces are gone then."""
        self._process.stop(deadline or Deadline.after(STOP_SECONDS))
        for lease in self._leases:
            lease.release()
        self._leases = []

    @property
    def _ports(self) -> tuple[int, ...]:
        """Of its page, of OTLP, and of a second API that cannot be left out."""
        if not self._leases:
            raise UnavailableError("This Jaeger is not running: call start() first.")
        return tuple(lease.port for lease in self._leases)

    def _await_answer(self, deadline: Deadline) -> None:
        while not _answers(f"{self.url}/api/services"):
            self._process.require_running()
            if deadline.passed:
                raise UnavailableError(
                    f"Jaeger runs but does not answer in time: see what it waits for in {self._process.log}."
                )
            time.sleep(_POLL_SECONDS)


def _settings(page: int, otlp: int, api: int) -> dict[str, Any]:
    """Jaeger's configuration: it listens at these ports only."""

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


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as response:  # noqa: S310 - our own address
            return bool(response.status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False

"""One process: the orchestrator, services and sinks that were asked for, started and stopped together."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from orchestrator.app.agents import DefinedAgents
from orchestrator.app.parts import OrchestratorPart, Part, WorkerPart
from orchestrator.app.session_observer import SessionObserver
from orchestrator.app.wiring import Wiring
from orchestrator.bus.deadline import Deadline
from orchestrator.clock import unix_micros
from orchestrator.engine.loop import GROUP, SagaLoop
from orchestrator.errors import ConfigurationError
from orchestrator.sdk.plugins import Plugins
from orchestrator.sdk.sinks import SinkPlugin
from orchestrator.telemetry.http import Health, StatusServer
from orchestrator.telemetry.tracing import Tracing, tracing_of
from orchestrator.worker.host import Host, Surroundings
from orchestrator.worker.loop import Worker
from orchestrator.worker.sinks import SinkRunner

logger: Final = logging.getLogger(__name__)

ORCHESTRATOR: Final = GROUP
ALL: Final = "all"
START_S: Final = 60.0
"""How long everything together may take to start."""
_WATCH_S: Final = 0.5
_LAST_SENDS_S: Final = 5.0


def available(plugins: Plugins) -> tuple[str, ...]:
    """What a process may be asked to run."""
    return (ORCHESTRATOR, *sorted(plugins.every_service()), *sorted(plugins.by_name(SinkPlugin)))


def chosen(names: Sequence[str], plugins: Plugins) -> tuple[str, ...]:
    """The names of what is to run. Raises `ConfigurationError` that names every unknown one."""
    known = available(plugins)
    unknown = [name for name in names if name not in known and name != ALL]
    if unknown:
        raise ConfigurationError(
            *(f"there is no service {name}: known are {', '.join(known)}" for name in unknown)
        )
    return known if ALL in names else tuple(dict.fromkeys(names))


class Process:
    """Runs what `names` say. A part that fails ends the process: `wait` raises its error."""

    def __init__(self, wiring: Wiring, names: Sequence[str], plugins: Plugins) -> None:
        self.wiring = wiring
        self.names = chosen(names, plugins)
        self._plugins = plugins
        self.metrics = wiring.metrics
        self._services = plugins.every_service()
        self._tracings = {name: _tracing(name, wiring) for name in self.names}
        instance = str(wiring.settings.slot)
        surroundings = Surroundings(plugins, wiring.values, instance, self.metrics, self._tracings)
        self._host = Host(wiring.bus, wiring.codec, surroundings)
        self._parts: dict[str, Part] = {}
        self._status: StatusServer | None = None
        self._started = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """Returns when every part is ready. Raises what keeps one from starting; then nothing is left running."""
        deadline = Deadline.after(START_S)
        try:
            self._serve_status()
            self._host.start(deadline)
            for name in self.names:
                self._parts[name] = self._part(name)
                self._parts[name].start()
            for part in self._parts.values():
                part.wait_ready(deadline)
        except BaseException:
            self.stop()
            raise
        self._started = True
        logger.info("running %s", ", ".join(self.names))

    def wait(self) -> None:
        """Returns after `stop`. Raises the error of a part that ended by itself."""
        while not self._stopped.wait(_WATCH_S):
            for name, part in self._parts.items():
                if part.failure is not None:
                    logger.error("%s has failed, so the process ends", name)
                    raise part.failure

    def stop(self) -> None:
        """Drains and ends everything, all parts at once. May be called again, and from any thread."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._started = False
        deadline = Deadline.after(self.wiring.settings.drain_s)
        _side_by_side([partial(part.stop, deadline) for part in self._parts.values()])
        self._host.stop(Deadline.after(_LAST_SENDS_S))
        _side_by_side([tracing.close for tracing in self._tracings.values()])
        if self._status is not None:
            self._status.__exit__(None, None, None)

    @property
    def http_port(self) -> int | None:
        """Where health and metrics are served; None where they are not."""
        return self._status.port if self._status else None

    @property
    def parts(self) -> Mapping[str, Part]:
        """What runs, by name."""
        return self._parts

    def _part(self, name: str) -> Part:
        if name == ORCHESTRATOR:
            return OrchestratorPart(self._saga_loop())
        if name in self._services:
            return WorkerPart(Worker(self._services[name], self._host))
        return SinkRunner(self._plugins.by_name(SinkPlugin)[name], self._host)

    def _saga_loop(self) -> SagaLoop:
        wiring = self.wiring
        agents = DefinedAgents(self._host.definitions)
        observer = SessionObserver(self._tracings[ORCHESTRATOR], self.metrics)
        loop = wiring.settings.loop
        return SagaLoop(wiring.bus, wiring.codec, wiring.values, agents, unix_micros, loop, observer)

    def _serve_status(self) -> None:
        """Health is served before anything starts: a process that starts is alive and not ready."""
        settings = self.wiring.settings
        if settings.http_port is None:
            return
        health = Health()
        health.alive_if("parts", self._failed_part)
        health.ready_if("started", lambda: None if self._started else "starting, or stopping")
        self._status = StatusServer(health, self.metrics, settings.http_host, settings.http_port)
        self._status.__enter__()
        logger.info("health and metrics on http://%s:%d", settings.http_host, self._status.port)

    def _failed_part(self) -> str | None:
        failed = [name for name, part in self._parts.items() if part.failure is not None]
        return f"failed: {', '.join(failed)}" if failed else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _side_by_side(actions: Iterable[Callable[[], None]]) -> None:
    """Returns when all of them have."""
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _tracing(name: str, wiring: Wiring) -> Tracing:
    """Spans of one service, under its own name; nothing is loaded where no endpoint is configured."""
    settings = wiring.settings
    return tracing_of(os.environ, name, str(settings.slot), settings.otlp_endpoint)

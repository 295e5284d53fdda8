"""One process: the orchestrator, services and sinks of its command line, started and stopped together."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from orchestrator.app.agents import DefinedAgents
from orchestrator.app.components import Component, OrchestratorComponent, WorkerComponent
from orchestrator.app.hidden_records import HiddenRecords
from orchestrator.app.session_observer import SessionObserver
from orchestrator.app.topic_watch import EVERY_S, TopicWatch
from orchestrator.app.wiring import Wiring
from orchestrator.bus.deadline import Deadline
from orchestrator.clock import unix_micros
from orchestrator.engine.loop import GROUP, SagaLoop
from orchestrator.errors import ConfigurationError
from orchestrator.sdk.plugins import Plugins
from orchestrator.sdk.sinks import SinkPlugin
from orchestrator.sessions.history import HistoryReader
from orchestrator.telemetry.health import Health
from orchestrator.telemetry.http import StatusServer
from orchestrator.telemetry.tracing import Tracing, tracing_of
from orchestrator.worker.host import BROADCAST_TOPICS, Host, ProcessContext
from orchestrator.worker.loop import Worker
from orchestrator.worker.sinks import SinkRunner

logger: Final = logging.getLogger(__name__)

ORCHESTRATOR: Final = GROUP
ALL: Final = "all"
START_S: Final = 60.0
"""How long all components together may take to start."""
_WATCH_INTERVAL_S: Final = 0.5
_OUTBOX_DRAIN_S: Final = 5.0


def available(plugins: Plugins) -> tuple[str, ...]:
    """The names of all that a process can run."""
    return (ORCHESTRATOR, *sorted(plugins.every_service()), *sorted(plugins.by_name(SinkPlugin)))


def select_names(names: Sequence[str], plugins: Plugins) -> tuple[str, ...]:
    """The names to run, with `all` expanded. Raises `ConfigurationError` for every unknown one."""
    known = available(plugins)
    unknown = [name for name in names if name not in known and name != ALL]
    if unknown:
        raise ConfigurationError(
            *(f"service {name} not found; known services: {', '.join(known)}" for name in unknown)
        )
    return known if ALL in names else tuple(dict.fromkeys(names))


class Process:
    """Runs the components that `names` list. If one fails, `wait` raises its error."""

    def __init__(
        self, wiring: Wiring, names: Sequence[str], plugins: Plugins, look_every_s: float = EVERY_S
    ) -> None:
        """`look_every_s` is how often the process looks whether its topics are still the same."""
        self.wiring = wiring
        self.names = select_names(names, plugins)
        self._plugins = plugins
        self._look_every_s = look_every_s
        self.metrics = wiring.metrics
        self._services = plugins.every_service()
        self._tracings = {name: _tracing(name, wiring) for name in self.names}
        instance = str(wiring.settings.slot)
        self._histories = HistoryReader(wiring.bus, wiring.codec)
        context = ProcessContext(
            plugins,
            wiring.values,
            instance,
            self.metrics,
            self._tracings,
            history=self._histories.read,
        )
        self._host = Host(wiring.bus, wiring.codec, context, wiring.settings.call_ids)
        self._components: dict[str, Component] = {}
        self._topic_watch: TopicWatch | None = None
        self._hidden_records: HiddenRecords | None = None
        self._health = Health()
        self._status: StatusServer | None = None
        self._started = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """Returns when all components are ready. If one cannot start, stops all and raises its error."""
        deadline = Deadline.after(START_S)
        try:
            self._serve_status()
            self._host.start(deadline)
            self._histories.prepare()
            for name in self.names:
                self._components[name] = self._component(name)
                self._components[name].start()
            self._watch_topics()
            for component in self._components.values():
                component.wait_ready(deadline)
        except BaseException:
            self.stop()
            raise
        self._started = True
        logger.info("running %s", ", ".join(self.names))

    def wait(self, check: Callable[[], None] = lambda: None) -> None:
        """Returns after `stop`. Raises the error of a component that fails, and what `check` raises: it is called
        twice a second."""
        while not self._stopped.wait(_WATCH_INTERVAL_S):
            check()
            for name, component in self._components.items():
                if component.failure is not None:
                    logger.error("%s failed; stopping the process", name)
                    raise component.failure
            if self._host.failure is not None:
                logger.error("no handler can run any more; stopping the process")
                raise self._host.failure
            if self._topic_watch is not None and self._topic_watch.failure is not None:
                raise self._topic_watch.failure

    def stop(self) -> None:
        """Drains and stops all components at once. Idempotent; any thread may call it."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._started = False
        for watch in (self._topic_watch, self._hidden_records):
            if watch is not None:
                watch.stop()
        deadline = Deadline.after(self.wiring.settings.drain_s)
        _run_concurrently([partial(component.stop, deadline) for component in self._components.values()])
        self._host.stop(Deadline.after(_OUTBOX_DRAIN_S))
        # After the host, which cancels the handlers that still run: to them this would look like a failure.
        self._histories.close()
        _run_concurrently([tracing.close for tracing in self._tracings.values()])
        if self._status is not None:
            self._status.__exit__(None, None, None)

    @property
    def http_port(self) -> int | None:
        """The port of health and metrics; None if they are not served."""
        return self._status.port if self._status else None

    def _component(self, name: str) -> Component:
        if name == ORCHESTRATOR:
            return OrchestratorComponent(self._saga_loop())
        if name in self._services:
            return WorkerComponent(Worker(self._services[name], self._host))
        return SinkRunner(self._plugins.by_name(SinkPlugin)[name], self._host)

    def _saga_loop(self) -> SagaLoop:
        wiring = self.wiring
        agents = DefinedAgents(self._host.definitions)
        observer = SessionObserver(self._tracings[ORCHESTRATOR], self.metrics)
        loop = wiring.settings.loop
        call_ids = wiring.settings.call_ids
        if not call_ids.are_secret:
            logger.warning(
                "ids of calls can be computed by anybody: whoever may write to the topics can reply for services and "
                "run tools. Set call_keys"
            )
        saga_loop = SagaLoop(
            wiring.bus, wiring.codec, wiring.values, agents, unix_micros, loop, observer, call_ids=call_ids
        )
        self._health.add_readiness_check("values", lambda: saga_loop.problem)
        return saga_loop

    def _watch_topics(self) -> None:
        read = {topic for component in self._components.values() for topic in component.topics}
        self._topic_watch = TopicWatch(
            self.wiring.bus.topic_ids, read.union(BROADCAST_TOPICS), self._look_every_s
        )
        self._topic_watch.start()
        self._hidden_records = HiddenRecords(self.wiring.bus, read, self.metrics)
        self._hidden_records.start()

    def _serve_status(self) -> None:
        """Serves health before any component starts: a starting process is alive, but not ready."""
        settings = self.wiring.settings
        if settings.http_port is None:
            return
        health = self._health
        health.add_liveness_check("parts", self._failed_components)
        health.add_liveness_check("handlers", self._failed_handlers)
        health.add_readiness_check("started", lambda: None if self._started else "starting, or stopping")
        self._status = StatusServer(health, self.metrics, settings.http_host, settings.http_port)
        self._status.__enter__()
        shown = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
        logger.info("health and metrics on http://%s:%d", shown, self._status.port)

    def _failed_components(self) -> str | None:
        failed = [name for name, component in self._components.items() if component.failure is not None]
        return f"failed: {', '.join(failed)}" if failed else None

    def _failed_handlers(self) -> str | None:
        return str(self._host.failure) if self._host.failure else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _run_concurrently(actions: Iterable[Callable[[], None]]) -> None:
    """Returns when all actions have returned."""
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _tracing(name: str, wiring: Wiring) -> Tracing:
    """The tracing of one service, under its own name. Loads no exporter unless an endpoint is configured."""
    settings = wiring.settings
    return tracing_of(os.environ, name, str(settings.slot), settings.otlp_endpoint, settings.secrets)

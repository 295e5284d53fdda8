"""A process as its operator sees it: what it runs, its HTTP port, and its errors."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from orchestrator.app.process import Process, available
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import Wiring, wire_embedded
from orchestrator.bus.errors import FatalError
from orchestrator.engine.loop import SagaLoop
from orchestrator.errors import ConfigurationError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.base import Definition
from orchestrator.messages.catalogue import TOPICS
from orchestrator.messages.commands import ExecuteTool
from orchestrator.sdk import Platform, Plugins, Service, ServiceContext, Sink, sink
from tests.support.workers import until


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    with EmbeddedCluster({f"agents.{spec.topic}": spec.partitions or 2 for spec in TOPICS}) as cluster:
        settings = Settings(
            bootstrap_servers=cluster.bootstrap_servers, values_url=str(tmp_path / "values"), http_port=0
        )
        yield wire_embedded(settings)


def get(process: Process, path: str) -> tuple[int, str]:
    """Status and body of a response of the process."""
    try:
        with urlopen(f"http://127.0.0.1:{process.http_port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_running_process_is_alive_and_ready_and_exposes_metrics(wiring: Wiring) -> None:
    with Process(wiring, ["orchestrator"], Plugins()) as process:
        assert get(process, "/healthz")[0] == 200
        assert get(process, "/readyz")[0] == 200
        assert get(process, "/metrics")[0] == 200


def test_a_process_with_sessions_that_wait_for_the_value_store_is_alive_and_not_ready(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Process(wiring, ["orchestrator"], Plugins()) as process:
        monkeypatch.setattr(SagaLoop, "problem", "events/0 wait: the value store is full")
        status, body = get(process, "/readyz")
        assert status == 503
        assert "events/0 wait: the value store is full" in body
        assert get(process, "/healthz")[0] == 200


def test_an_unknown_service_is_refused_and_the_known_ones_are_listed(wiring: Wiring) -> None:
    plugins = Plugins.of(Service("greeter"))
    with pytest.raises(
        ConfigurationError, match="service greter not found; known services: orchestrator, greeter"
    ):
        Process(wiring, ["greter"], plugins)


def test_the_orchestrator_and_all_plug_ins_are_available() -> None:
    plugins = Plugins.of(Service("greeter"))
    assert available(plugins) == ("orchestrator", "greeter")


def test_a_component_that_cannot_start_keeps_the_process_from_starting(wiring: Wiring) -> None:
    @sink("ledger", "Task*")
    def ledger() -> Sink:
        raise ConfigurationError("the ledger's address is missing")

    with pytest.raises(ConfigurationError, match="the ledger's address is missing"):
        Process(wiring, ["ledger"], Plugins.of(ledger)).start()


def test_a_process_whose_handlers_cannot_run_any_more_is_unhealthy_and_ends(
    wiring: Wiring, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service("breaker")
    started = threading.Event()

    @service.on(ExecuteTool)
    async def ignore(_message: ExecuteTool, _context: ServiceContext) -> None:
        pass

    @service.discovers
    async def break_the_loop(_platform: Platform) -> AsyncIterator[list[Definition]]:
        await asyncio.to_thread(started.wait)
        asyncio.get_running_loop()._run_once = None  # type: ignore[attr-defined]
        yield []

    with Process(wiring, ["breaker"], Plugins.of(service)) as process:
        started.set()
        until(lambda: get(process, "/healthz")[0] == 503, "it is unhealthy")
        assert "no handler of this process can run" in get(process, "/healthz")[1]
        with pytest.raises(FatalError, match="no handler of this process can run"):
            process.wait()

    assert "restart the process" in caplog.text

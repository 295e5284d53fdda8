"""Health and metrics of a process, over real HTTP on loopback."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.telemetry import http
from orchestrator.telemetry import metrics as names
from orchestrator.telemetry.health import Health
from orchestrator.telemetry.http import MOST_CONNECTIONS, StatusServer
from orchestrator.telemetry.metrics import ProcessMetrics
from tests.support.processes import PATIENCE_S
from tests.support.workers import until


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def metrics() -> ProcessMetrics:
    return ProcessMetrics()


@pytest.fixture
def server(health: Health, metrics: ProcessMetrics) -> Iterator[StatusServer]:
    with StatusServer(health, metrics) as server:
        yield server


def get(server: StatusServer, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_process_without_problems_is_alive_and_ready(server: StatusServer) -> None:
    assert get(server, "/healthz") == (200, b'{"ok": true, "problems": {}}\n')
    assert get(server, "/readyz?verbose")[0] == 200


def test_a_problem_is_named_and_makes_the_process_unready(server: StatusServer, health: Health) -> None:
    problems: dict[str, str | None] = {"kafka": "the cluster does not respond"}
    health.add_readiness_check("kafka", lambda: problems["kafka"])
    status, body = get(server, "/readyz")
    assert (status, json.loads(body)["problems"]) == (503, {"kafka": "the cluster does not respond"})
    assert get(server, "/healthz")[0] == 200
    problems["kafka"] = None
    assert get(server, "/readyz")[0] == 200


def test_what_is_not_alive_is_not_ready(server: StatusServer, health: Health) -> None:
    def broken() -> str | None:
        raise RuntimeError("secret detail")

    health.add_liveness_check("loop", broken)
    for path in ("/healthz", "/readyz"):
        status, body = get(server, path)
        assert (status, json.loads(body)["problems"]) == (503, {"loop": "the check failed: RuntimeError"})


def test_metrics_are_exposed(server: StatusServer, metrics: ProcessMetrics) -> None:
    metrics.count(names.DEAD_LETTERS, service="planner", stage="decode")
    metrics.count("my_plugin_things", 2, kind="a")
    metrics.set(names.IN_FLIGHT, 3, service="planner")
    metrics.observe(names.HANDLING_SECONDS, 0.2, service="planner", type="CreatePlan")
    text = get(server, "/metrics")[1].decode()
    assert 'agents_dead_letters_total{service="planner",stage="decode"} 1.0' in text
    assert 'my_plugin_things_total{kind="a"} 2.0' in text
    assert 'agents_in_flight{service="planner"} 3.0' in text
    assert 'agents_handling_seconds_bucket{le="0.3",service="planner",type="CreatePlan"} 1.0' in text


def test_a_metric_that_does_not_match_its_declaration_is_ignored_and_logged_once(
    metrics: ProcessMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: tuple[dict[str, Any], ...] = ({"colour": "red"}, {"colour": "blue"}, {})
    for labels in wrong:
        metrics.count(names.DEAD_LETTERS, **labels)
    metrics.observe(names.DEAD_LETTERS, 1.0, service="x", stage="y")
    assert [record.getMessage() for record in caplog.records] == [
        "metric agents_dead_letters is ignored: it is a Counter with the labels service, stage"
    ]


def test_other_paths_list_the_known_ones(server: StatusServer) -> None:
    assert get(server, "/") == (404, b"/healthz, /readyz, /metrics\n")


def test_a_port_in_use_is_an_error_that_names_it(
    server: StatusServer, health: Health, metrics: ProcessMetrics
) -> None:
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{server.port}.*choose another http_port"):
        StatusServer(health, metrics, port=server.port)


def connected(server: StatusServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestClientsThatDoHarm:
    def test_slow_connections_do_not_keep_probes_from_their_responses(self, server: StatusServer) -> None:
        """Each sends a byte now and then, and never a whole request."""
        with ExitStack() as held:
            slow = [held.enter_context(closing(connected(server))) for _ in range(25)]
            for one in slow:
                one.sendall(b"GET /healthz HT")
            assert get(server, "/healthz")[0] == 200

            # At its deadline each is closed, however often it sends.
            for one in slow:
                with suppress(ConnectionError):
                    while one.recv(100):
                        one.sendall(b"T")

            assert get(server, "/healthz")[0] == 200

    def test_metrics_are_rendered_for_all_who_ask_together(
        self, health: Health, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing else of the process runs meanwhile: a thousand series take a third of a second."""
        metrics, clock = ProcessMetrics(), [100.0]
        rendered: list[float] = []

        def exposition(_: ProcessMetrics) -> bytes:
            rendered.append(clock[0])
            clock[0] += 0.3
            return b"all"

        monkeypatch.setattr(ProcessMetrics, "exposition", exposition)
        pages = http._Pages(health, metrics, lambda: clock[0])

        for _ in range(100):
            assert pages.response(b"GET", "/metrics")[2] == b"all"
            clock[0] += 0.1

        # A tenth of ten seconds, and once at the beginning.
        assert len(rendered) == 4

    def test_idle_connections_take_no_file_descriptors(self, server: StatusServer) -> None:
        before = descriptors()
        with ExitStack() as held:
            ours = [held.enter_context(closing(connected(server))) for _ in range(200)]
            for _ in range(20):
                assert get(server, "/readyz")[0] == 200
            until(lambda: descriptors() - before - len(ours) <= MOST_CONNECTIONS + 1, "others are closed")

            ours[0].settimeout(PATIENCE_S)
            with suppress(ConnectionResetError):
                assert ours[0].recv(1) == b"", "the oldest made room"

    def test_a_connection_is_closed_after_its_response(self, server: StatusServer) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            said = b""
            while part := connection.recv(4096):
                said += part
        assert b"HTTP/1.1 200 OK" in said
        assert b"connection: close" in said.lower()

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
            (b"GET /" + b"x" * 20_000, b"431"),
            (b"\x16\x03\x01\x00\x00\r\n\r\n", b"400"),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
            (b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n", b"405"),
        ],
    )
    def test_what_is_no_request_for_a_page_is_refused(
        self, server: StatusServer, request_: bytes, status: bytes
    ) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(request_)
            assert connection.recv(4096).split()[1] == status
        assert get(server, "/healthz")[0] == 200

    def test_a_probe_that_only_wants_the_head_gets_it(self, server: StatusServer) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            while part := connection.recv(4096):
                said += part
        assert said.startswith(b"HTTP/1.1 200")
        assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("host", ["::", "localhost"])
def test_one_host_may_be_both_addresses(health: Health, metrics: ProcessMetrics, host: str) -> None:
    with StatusServer(health, metrics, host=host) as server:
        for address in ("127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])):
            with closing(socket.create_connection((address, server.port), timeout=PATIENCE_S)) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_everywhere_is_ipv4_where_there_is_no_ipv6(
    health: Health, metrics: ProcessMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with StatusServer(health, metrics, host="::") as server:
        assert get(server, "/healthz")[0] == 200

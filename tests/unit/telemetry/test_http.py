"""Health and metrics of a process, over real HTTP on loopback."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.telemetry import metrics as names
from orchestrator.telemetry.http import Health, StatusServer
from orchestrator.telemetry.metrics import ProcessMetrics


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
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
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

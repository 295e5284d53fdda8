"""Labels hold names that whoever writes tasks makes up: they must not fill a process's memory."""

import pytest

from orchestrator.telemetry.metrics import MOST_SERIES, OTHER, ProcessMetrics


def lines(metrics: ProcessMetrics, name: str) -> list[str]:
    text = metrics.exposition().decode()
    return [line for line in text.splitlines() if line.startswith(f"{name}_total{{")]


def test_series_beyond_the_most_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    metrics = ProcessMetrics()

    for n in range(MOST_SERIES + 500):
        metrics.count("agents_tokens", 2, agent="triage", tenant=f"made-up-{n}")

    found = lines(metrics, "agents_tokens")
    assert len(found) == MOST_SERIES + 1
    assert f'agents_tokens_total{{agent="{OTHER}",tenant="{OTHER}"}} 1000.0' in found
    assert len(caplog.records) == 1


def test_series_that_exist_go_on() -> None:
    metrics = ProcessMetrics()
    for n in range(MOST_SERIES + 1):
        metrics.count("agents_tokens", tenant=f"tenant-{n}")

    metrics.count("agents_tokens", tenant="tenant-0")

    assert 'agents_tokens_total{tenant="tenant-0"} 2.0' in lines(metrics, "agents_tokens")


def test_a_value_that_is_too_long_is_left_out() -> None:
    metrics = ProcessMetrics()
    for n in range(20):
        metrics.count("agents_tokens", 2, agent="triage", tenant=str(n) * 100_000)

    assert lines(metrics, "agents_tokens") == [f'agents_tokens_total{{agent="triage",tenant="{OTHER}"}} 40.0']


def test_a_series_that_is_forgotten_makes_room() -> None:
    metrics = ProcessMetrics()
    for n in range(MOST_SERIES):
        metrics.set("agents_consumer_lag", n, group="g", topic="tasks", partition=str(n))

    metrics.forget("agents_consumer_lag", group="g", topic="tasks", partition="0")
    metrics.set("agents_consumer_lag", 7, group="g", topic="tasks", partition="new")

    assert 'partition="new"' in metrics.exposition().decode()

"""The trace of a session, as a collector gets it by OTLP: one tree under the correlation id."""

from pathlib import Path

import pytest

from orchestrator.app.demo import run_demo
from tests.support.otlp_collector import collecting
from tests.support.trace_tree import Span, assert_retry, orphans, roots


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Span]:
    """The trace of the example session."""
    folder: Path = tmp_path_factory.mktemp("traced")
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        outcome = run_demo(folder, lambda _event: None)
    return collector.trace(outcome.correlation_id)


def test_every_span_but_one_has_its_parent_in_the_trace(spans: list[Span]) -> None:
    assert roots(spans) == ["invoke_agent triage"]
    assert orphans(spans) == []


def test_every_service_of_the_session_is_named(spans: list[Span]) -> None:
    assert {span.service for span in spans} >= {
        "orchestrator",
        "planner",
        "safety-monitor",
        "tool-selector",
        "tool-executor",
        "recovery",
        "evaluator",
    }


def test_both_attempts_of_the_step_that_failed_are_in_the_trace(spans: list[Span]) -> None:
    assert_retry(spans, "step deploys", "execute_tool deploys.history")

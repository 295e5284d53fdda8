"""The trace of a session, as a collector gets it by OTLP: one tree under the correlation id."""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from orchestrator.app.demo import run_demo
from tests.support.trace_tree import Span, assert_retry, orphans, roots


class Collector(TraceServiceServicer):
    """Keeps the spans that it is sent, by their trace's id."""

    def __init__(self) -> None:
        self.traces: defaultdict[str, list[Span]] = defaultdict(list)

    def Export(  # noqa: N802 - the protocol names it
        self, request: ExportTraceServiceRequest, _context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[span.trace_id.hex()].append(_span(names["service.name"], span))
        return ExportTraceServiceResponse()


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector, and where it listens."""
    made = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    add_TraceServiceServicer_to_server(made, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield made, f"http://127.0.0.1:{port}"
    server.stop(grace=None).wait()


@pytest.fixture(scope="module")
def spans(collector: tuple[Collector, str], tmp_path_factory: pytest.TempPathFactory) -> list[Span]:
    """The trace of the example session."""
    found, endpoint = collector
    folder: Path = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        outcome = run_demo(folder, lambda _event: None)
    return found.traces[outcome.correlation_id.replace("-", "")]


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


def _span(service: str, span: OtlpSpan) -> Span:
    return Span(
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        service,
        span.start_time_unix_nano // 1000,
        span.end_time_unix_nano // 1000,
        failed=bool(span.status.message),
    )

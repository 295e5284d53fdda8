"""The trace of a session, as a collector receives it by OTLP: one tree under the correlation id."""

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
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from orchestrator.app.demo import Outcome, run_demo


class Collector(TraceServiceServicer):
    """Keeps the spans it receives, each with the name of its service."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []

    def Export(  # noqa: N802 - the protocol's name
        self, request: ExportTraceServiceRequest, _context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
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
def traced(
    collector: tuple[Collector, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, list[tuple[str, Span]]]:
    """The example session, and the spans of its trace."""
    found, endpoint = collector
    folder: Path = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        outcome = run_demo(folder, lambda _event: None)
    trace_id = bytes.fromhex(outcome.correlation_id.replace("-", ""))
    return outcome, [(service, span) for service, span in found.spans if span.trace_id == trace_id]


def test_every_span_but_the_root_has_its_parent_in_the_trace(
    traced: tuple[Outcome, list[tuple[str, Span]]],
) -> None:
    _, spans = traced
    known = {span.span_id for _, span in spans}
    roots = [span for _, span in spans if not span.parent_span_id]
    orphans = [span.name for _, span in spans if span.parent_span_id and span.parent_span_id not in known]
    assert [root.name for root in roots] == ["invoke_agent triage"]
    assert orphans == []


def test_every_service_of_the_session_is_named(traced: tuple[Outcome, list[tuple[str, Span]]]) -> None:
    _, spans = traced
    assert {service for service, _ in spans} >= {
        "orchestrator",
        "planner",
        "safety-monitor",
        "tool-selector",
        "tool-executor",
        "recovery",
        "evaluator",
    }


def test_both_attempts_of_the_failed_step_are_traced(
    traced: tuple[Outcome, list[tuple[str, Span]]],
) -> None:
    _, spans = traced
    attempts = [span for _, span in spans if span.name == "step deploys"]
    runs = [span for _, span in spans if span.name == "execute_tool deploys.history"]
    assert [bool(span.status.message) for span in sorted(attempts, key=lambda s: s.start_time_unix_nano)] == [
        True,
        False,
    ]
    assert {run.parent_span_id for run in runs} == {attempt.span_id for attempt in attempts}

"""Spans reach a collector as OTLP, with ids that derive from their sessions."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from orchestrator.errors import ConfigurationError
from orchestrator.local.ports import lease_free_port
from orchestrator.messages.types import Call, CallKind, Usage
from orchestrator.sdk import ModelContent, ModelRequest
from orchestrator.telemetry import content, spans, tracing
from orchestrator.telemetry.context import EVERY_SESSION, Sampling, root_span_id, span_id
from orchestrator.telemetry.tracing import NoTracing, OtlpTracing, sampling_of, tracing_of

SESSION = "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e"
CALL = Call(call_id="c1", kind=CallKind.TOOL, step_id="routes", attempt=2, due_at=0)
Requests = SimpleQueue[otlp.ExportTraceServiceRequest]


class _Collector(service.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: Requests = SimpleQueue()

    def Export(  # noqa: N802 - the protocol's name
        self, request: otlp.ExportTraceServiceRequest, _context: object
    ) -> otlp.ExportTraceServiceResponse:
        self.requests.put(request)
        return otlp.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[str, Requests]]:
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = _Collector()
    service.add_TraceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", servicer.requests
    server.stop(None).wait()


def test_a_sessions_spans_arrive_in_one_trace(collector: tuple[str, Requests]) -> None:
    # Given a process that exports.
    endpoint, requests = collector
    tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, "tool-executor", "0")
    assert tracing.enabled
    # When the spans of a session are emitted.
    tracing.emit(spans.session_root(SESSION, "triage", "acme", 1_000_000))
    tracing.emit(spans.step_attempt(SESSION, CALL, 1_000_000, 3_000_000, Usage(), "it broke"))
    tracing.emit(spans.tool_call(SESSION, CALL, "sql.query", 2_000_000, 3_000_000, Usage(tokens_input=7)))
    tracing.close()
    # Then the collector has them, each the child of the one before, with their times.
    [resource] = requests.get(timeout=5).resource_spans
    named = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
    assert (named["service.name"], named["service.instance.id"]) == ("tool-executor", "0")
    root, attempt, run = resource.scope_spans[0].spans
    assert {span.trace_id.hex() for span in (root, attempt, run)} == {SESSION.replace("-", "")}
    assert (root.name, root.parent_span_id) == ("invoke_agent triage", b"")
    assert root.span_id.hex() == attempt.parent_span_id.hex() == root_span_id(SESSION)
    assert run.parent_span_id.hex() == attempt.span_id.hex() == span_id("c1")
    assert (run.name, run.start_time_unix_nano, run.end_time_unix_nano) == (
        "execute_tool sql.query",
        2_000_000_000,
        3_000_000_000,
    )
    assert attempt.status == Status(code=Status.STATUS_CODE_ERROR, message="it broke")


@pytest.mark.parametrize("wanted", [False, True])
def test_what_models_are_asked_arrives_where_that_is_wanted(
    collector: tuple[str, Requests], wanted: bool
) -> None:
    endpoint, requests = collector
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        **({content.VARIABLE: "SPAN_ONLY"} if wanted else {}),
    }
    tracing = tracing_of(environment, "planner", "0", secrets=["of-the-settings"])
    asked = ModelContent(instructions="Say of-the-settings.")

    shown = tracing.content.attributes(lambda: asked) if tracing.content else {}
    request = ModelRequest(model="m", started_at=1_000_000, ended_at=2_000_000)
    tracing.emit(spans.model_request(SESSION, "m1", "c1", 1, request, shown))
    tracing.close()

    [resource] = requests.get(timeout=5).resource_spans
    [span] = resource.scope_spans[0].spans
    values = {attribute.key: attribute.value.string_value for attribute in span.attributes}
    expected = '[{"type":"text","content":"Say ***."}]' if wanted else None
    assert values.get("gen_ai.system_instructions") == expected


def test_sessions_that_are_not_sampled_are_not_exported(collector: tuple[str, Requests]) -> None:
    endpoint, requests = collector
    tracing = OtlpTracing(endpoint, "x", "0", Sampling(0.0))
    tracing.emit(spans.session_root(SESSION, "triage", "acme", 0))
    tracing.close()
    assert requests.empty()


def test_an_unreachable_collector_does_not_delay_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_CLOSE_S", 0.5)
    gone = lease_free_port()
    gone.release()
    exporting = OtlpTracing(f"http://127.0.0.1:{gone.port}", "planner", "0")
    for _ in range(1_500):
        exporting.emit(spans.session_root(SESSION, "triage", "acme", 1))

    start = time.monotonic()
    exporting.close()

    assert time.monotonic() - start < 3.0


def test_without_an_endpoint_the_sdk_is_not_imported() -> None:
    program = (
        "import sys; from orchestrator.telemetry import context, logs, metrics, http, spans, tracing;"
        "tracing.tracing_of({}, 'x', '0');"
        "sys.exit(any(name.startswith(('opentelemetry', 'grpc')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "always_off"},
    ],
)
def test_tracing_is_disabled_without_a_destination(environment: dict[str, str]) -> None:
    tracing = tracing_of(environment, "x", "0")
    assert isinstance(tracing, NoTracing)
    assert not tracing.enabled


def test_a_ratio_sampler_is_replaced_by_ours_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    environment = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    assert sampling_of(environment) == Sampling(0.25)
    assert "ours are UUIDs" in caplog.text
    assert sampling_of({}) == EVERY_SESSION


@pytest.mark.parametrize(
    ("sampler", "argument"), [("jaeger_remote", "1"), ("traceidratio", "2"), ("traceidratio", "half")]
)
def test_an_unsupported_sampler_is_refused(sampler: str, argument: str) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_TRACES_SAMPLER="):
        sampling_of({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument})

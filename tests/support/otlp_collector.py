"""A collector of traces: a server of OTLP in this process, that keeps the spans it is sent."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from tests.support.trace_tree import Span


class Collector(TraceServiceServicer):
    """Keeps spans by their trace."""

    def __init__(self) -> None:
        self.endpoint = ""
        """Where it listens, as OTEL_EXPORTER_OTLP_ENDPOINT takes it."""
        self._lock = threading.Lock()
        self._traces: defaultdict[str, list[Span]] = defaultdict(list)

    def trace(self, correlation_id: str) -> list[Span]:
        """The spans of a session so far."""
        with self._lock:
            return list(self._traces[correlation_id.replace("-", "")])

    def Export(  # noqa: N802 - the protocol names it
        self, request: ExportTraceServiceRequest, _context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        with self._lock:
            for resource in request.resource_spans:
                names = {item.key: item.value.string_value for item in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self._traces[span.trace_id.hex()].append(_span(names["service.name"], span))
        return ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own."""
    made = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    add_TraceServiceServicer_to_server(made, server)  # type: ignore[no-untyped-call]
    made.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield made
    finally:
        server.stop(grace=None).wait()


def _span(service: str, span: OtlpSpan) -> Span:
    return Span(
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        service,
        span.start_time_unix_nano // 1000,
        span.end_time_unix_nano // 1000,
        failed=bool(span.status.message),
        numbers={item.key: number for item in span.attributes if (number := _number(item.value)) is not None},
        texts={
            item.key: item.value.string_value
            for item in span.attributes
            if item.value.HasField("string_value")
        },
    )


def _number(value: AnyValue) -> int | None:
    return value.int_value if value.WhichOneof("value") == "int_value" else None

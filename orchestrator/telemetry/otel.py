"""Converts our spans to those of OpenTelemetry's SDK. Imported only if spans are exported."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from orchestrator.messages.identity import trace_id
from orchestrator.telemetry import conventions as names
from orchestrator.telemetry.spans import Span

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NANOSECONDS = 1_000


class Converter:
    """Converts spans to SDK spans of one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(names.SCOPE)

    def __call__(self, span: Span) -> ReadableSpan:
        trace = trace_id(span.correlation_id)
        parent = _context(trace, span.parent_id, remote=True) if span.parent_id else None
        return ReadableSpan(
            span.name,
            context=_context(trace, span.span_id, remote=False),
            parent=parent,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=SpanKind[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=span.started_at * _NANOSECONDS,
            end_time=span.ended_at * _NANOSECONDS,
        )


def _context(trace: int, span_id: str, *, remote: bool) -> SpanContext:
    return SpanContext(trace, int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)

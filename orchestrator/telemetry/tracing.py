"""Exports spans by OTLP if an endpoint is configured, and costs nothing otherwise."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from orchestrator.errors import ConfigurationError
from orchestrator.telemetry import conventions as names
from orchestrator.telemetry.content import Content, captured
from orchestrator.telemetry.context import EVERY_SESSION, Sampling
from orchestrator.telemetry.redaction import Redaction, secrets_in
from orchestrator.telemetry.spans import Span

ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_ALWAYS: Final = frozenset({"", "always_on", "parentbased_always_on"})
_NEVER: Final = frozenset({"always_off", "parentbased_always_off"})
_RATIO: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
_QUEUE_WITH_CONTENT: Final = 512
_BATCH_WITH_CONTENT: Final = 32
_CLOSE_S: Final = 5.0
_ABANDON_S: Final = 1.0

logger: Final = logging.getLogger(__name__)


class Tracing(Protocol):
    """Takes finished spans. Any thread may call; `emit` neither blocks nor fails."""

    @property
    def enabled(self) -> bool:
        """Whether spans are exported: check before making one."""

    @property
    def sampling(self) -> Sampling:
        """Which sessions are traced; the codec propagates it in `traceparent`."""

    @property
    def content(self) -> Content | None:
        """Makes attributes of what models are asked and answer; None where spans do not show it."""

    def emit(self, span: Span) -> None:
        """Exports a span asynchronously, if its session is sampled."""

    def close(self) -> None:
        """Exports the remaining spans, for at most five seconds."""


class NoTracing:
    """Exports nothing."""

    enabled: Final = False
    sampling: Final = EVERY_SESSION
    content: Final = None

    def emit(self, span: Span) -> None:
        """Drops the span."""

    def close(self) -> None:
        """Does nothing."""


class OtlpTracing:
    """Exports spans to an OTLP endpoint by gRPC, in batches, from a thread of its own."""

    enabled: Final = True

    def __init__(
        self,
        endpoint: str,
        service: str,
        instance: str,
        sampling: Sampling = EVERY_SESSION,
        content: Content | None = None,
    ) -> None:
        # Imported here: it takes half a second, which a process without an endpoint saves.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from orchestrator.telemetry.otel import Converter

        self.sampling: Final = sampling
        self.content: Final = content
        resource = Resource.create(
            {"service.namespace": names.SERVICE, "service.name": service, "service.instance.id": instance}
        )
        self._convert = Converter(resource)
        self._exporter = OTLPSpanExporter(endpoint=endpoint)
        # Spans with content are large: a batch stays below what collectors take at once, usually 4 MiB, and those that
        # wait while none responds below 64 MiB. Otherwise the SDK's settings hold.
        queue, batch = (_QUEUE_WITH_CONTENT, _BATCH_WITH_CONTENT) if content else (None, None)
        self._processor = BatchSpanProcessor(self._exporter, queue, max_export_batch_size=batch)

    def emit(self, span: Span) -> None:
        if self.sampling.sampled(span.correlation_id):
            self._processor.on_end(self._convert(span))

    def close(self) -> None:
        # The SDK exports what is left, and has no timeout while a collector does not respond.
        closing = threading.Thread(target=self._processor.shutdown, name="close-tracing", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        if closing.is_alive():
            # Abandons the remaining spans, and ends the backoff between two attempts.
            self._exporter.shutdown()
            closing.join(_ABANDON_S)


def tracing_of(
    environment: Mapping[str, str],
    service: str,
    instance: str,
    endpoint: str = "",
    secrets: Iterable[str] = (),
) -> NoTracing | OtlpTracing:
    """The tracing of a service, by our setting `endpoint` or else by OpenTelemetry's variables. `secrets` are values to
    redact, besides those of the environment.

    Raises `ConfigurationError` for an unknown sampler or ratio, and where content cannot be captured as wanted.
    """
    endpoint = endpoint or next(filter(None, map(environment.get, ENDPOINT_VARIABLES)), "")
    if not endpoint or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracing()
    sampling = sampling_of(environment)
    content = Content(Redaction([*secrets, *secrets_in(environment)])) if captured(environment) else None
    return OtlpTracing(endpoint, service, instance, sampling, content) if sampling.ratio > 0 else NoTracing()


def sampling_of(environment: Mapping[str, str]) -> Sampling:
    """The sampling that `OTEL_TRACES_SAMPLER` requests; a ratio applies to the random bits of our trace ids."""
    sampler = environment.get("OTEL_TRACES_SAMPLER", "")
    if sampler in _ALWAYS:
        return EVERY_SESSION
    if sampler in _NEVER:
        return Sampling(0.0)
    argument = environment.get("OTEL_TRACES_SAMPLER_ARG", "1.0")
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if sampler not in _RATIO or not 0.0 <= ratio <= 1.0:
        raise ConfigurationError(
            f"OTEL_TRACES_SAMPLER={sampler} with OTEL_TRACES_SAMPLER_ARG={argument} is not supported: set always_on, "
            "always_off, or traceidratio with a ratio from 0 to 1"
        )
    logger.warning(
        "OTEL_TRACES_SAMPLER=%s samples by the last 56 bits of the trace id: OpenTelemetry's own sampler uses 64, "
        "and as ours are UUIDs, it would sample none or all of them",
        sampler,
    )
    return Sampling(ratio)

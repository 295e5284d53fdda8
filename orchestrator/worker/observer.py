"""The telemetry of one service's worker: handling time, work in flight, lag, and spans if tracing is on."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from orchestrator.bus.headers import TRACEPARENT
from orchestrator.bus.ports import Outgoing, Position, Received
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.messages.events import ToolCompleted, ToolFailed
from orchestrator.sdk.model_requests import ModelRequest
from orchestrator.telemetry import metrics as names
from orchestrator.telemetry.context import parent_of, span_id, traceparent
from orchestrator.telemetry.lags import Lags
from orchestrator.telemetry.metrics import ProcessMetrics
from orchestrator.telemetry.spans import NOTHING, Attribute, model_request, processing, tool_call
from orchestrator.telemetry.tracing import Tracing

MEASURE_INTERVAL_S: Final = 10.0
"""Between two measurements of the lag, each a request to the broker."""


@dataclass(frozen=True)
class Observer:
    """Reports metrics and spans of one service."""

    service: str
    metrics: ProcessMetrics
    tracing: Tracing
    group: str

    @cached_property
    def _lags(self) -> Lags:
        return Lags(self.metrics, self.group)

    def received(self, batch: Sequence[Received]) -> None:
        for topic, count in Counter(received.topic for received in batch).items():
            self.metrics.count(names.MESSAGES_RECEIVED, count, topic=topic.value)

    def sent(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self.metrics.count(names.MESSAGES_SENT, topic=record.topic.value)

    def in_flight(self, count: int) -> None:
        self.metrics.set(names.IN_FLIGHT, count, service=self.service)

    def lag(self, ends: Mapping[Position, tuple[int, int]], reached: Mapping[Position, int]) -> None:
        """How far the lowest incomplete offsets, or positions without one, are behind the ends of the logs."""
        self._lags.report(
            {
                (topic.value, str(partition)): max(0, end - reached.get((topic, partition), first))
                for (topic, partition), (first, end) in ends.items()
            }
        )

    def traceparent(self, message: Command | Event) -> str | None:
        """The trace context of a handler's outputs; None makes them children of the session's root."""
        if not self.tracing.enabled:
            return None
        own = span_id(message.message_id, self.service)
        return traceparent(message.correlation_id, own, self.tracing.sampling)

    def handled(
        self, received: Received, message: Command | Event, started: float, ended_at: int, error: str = ""
    ) -> None:
        """A handler has finished. `started` is `time.perf_counter()` at its start, `ended_at` is Unix time in
        microseconds."""
        seconds = time.perf_counter() - started
        kind = type(message).__name__
        self.metrics.observe(names.HANDLING_SECONDS, seconds, service=self.service, type=kind)
        if self.tracing.enabled:
            parent = parent_of(received.header(TRACEPARENT)) or ""
            times = ended_at - round(seconds * 1_000_000), ended_at
            place = (message.correlation_id, message.message_id, self.service, received.topic.value)
            self.tracing.emit(processing(*place, parent, *times, error))

    def model_requested(self, message: Command | Event, number: int, request: ModelRequest) -> None:
        """A handler has asked a model, for the `number`th time."""
        if not self.tracing.enabled:
            return
        call = call_of(message)
        call_id = call.call_id if call else ""
        place = (message.correlation_id, message.message_id, call_id, number)
        self.tracing.emit(model_request(*place, request, self._content(message.correlation_id, request)))

    def _content(self, correlation_id: str, request: ModelRequest) -> Mapping[str, Attribute]:
        """What was asked and answered, if spans show it."""
        content = self.tracing.content
        if content is None or request.content is None or not self.tracing.sampling.sampled(correlation_id):
            return NOTHING
        return content.attributes(request.content)

    def wrote(self, outputs: Sequence[Message], ended_at: int) -> None:
        """Emits the spans of the tool runs that `outputs` report."""
        if not self.tracing.enabled:
            return
        for output in outputs:
            if isinstance(output, ToolCompleted | ToolFailed):
                error = output.failure.code if isinstance(output, ToolFailed) else ""
                started_at = ended_at - output.usage.duration_ms * 1_000
                run = (output.correlation_id, output.call, output.tool, started_at, ended_at, output.usage)
                self.tracing.emit(tool_call(*run, error))

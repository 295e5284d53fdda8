"""The orchestrator's telemetry: the trace of each session, and metrics of the loop."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, assert_never

from orchestrator.bus.ports import Received
from orchestrator.engine.observer import LoopObserver, Transaction
from orchestrator.messages import events
from orchestrator.messages.base import Event, Message
from orchestrator.messages.call_kinds import purpose_of
from orchestrator.messages.types import Call, CallKind, Usage
from orchestrator.saga import SETTLING
from orchestrator.telemetry import metrics as names
from orchestrator.telemetry import spans
from orchestrator.telemetry.metrics import ProcessMetrics
from orchestrator.telemetry.spans import Span
from orchestrator.telemetry.tracing import Tracing

_COMMITTED: Final = "committed"
_TOPIC_OF: Final = attrgetter("topic")
COUNTED: Final = tuple(kind for kind in SETTLING if kind is not events.TaskRefused)
"""Events counted as settled sessions. A refused task is not: its session never began."""


class SessionObserver(LoopObserver):
    """Turns what the loop reports into spans and metrics."""

    def __init__(self, tracing: Tracing, metrics: ProcessMetrics) -> None:
        self._tracing = tracing
        self._metrics = metrics
        self._owned: Iterable[int] = ()

    def received(self, batch: Sequence[Received]) -> None:
        for topic, count in Counter(map(_TOPIC_OF, batch)).items():
            self._metrics.count(names.MESSAGES_RECEIVED, count, topic=topic.value)

    def dropped(self, reasons: Mapping[str, int]) -> None:
        for reason, count in reasons.items():
            self._metrics.count(names.INPUTS_DROPPED, count, reason=reason)

    def committed(self, transaction: Transaction) -> None:
        self._metrics.count(names.TRANSACTIONS, outcome=_COMMITTED)
        self._metrics.observe(names.TRANSACTION_SECONDS, transaction.seconds)
        self._metrics.observe(names.TRANSACTION_MESSAGES, transaction.inputs)
        for topic, count in Counter(map(_TOPIC_OF, transaction.records)).items():
            self._metrics.count(names.MESSAGES_SENT, count, topic=topic.value)
        for message in transaction.messages:
            self._observe(message)

    def failed(self, outcome: str) -> None:
        self._metrics.count(names.TRANSACTIONS, outcome=outcome)

    def owns(self, active: Mapping[int, int]) -> None:
        for number in {*self._owned, *active}:
            self._metrics.set(names.SESSIONS_ACTIVE, active.get(number, 0), partition=str(number))
        self._owned = tuple(active)

    def _observe(self, message: Message) -> None:
        if isinstance(message, COUNTED):
            self._metrics.count(names.SESSIONS_SETTLED, outcome=type(message).__name__)
        elif isinstance(message, events.MessageDeadLettered):
            self._metrics.count(names.DEAD_LETTERS, service=message.service, stage=message.stage)
        if self._tracing.enabled:
            span = span_of(message)
            if span is not None:
                self._tracing.emit(span)


def span_of(message: Message) -> Span | None:
    """The span that ends with this event of the orchestrator; None for an event that ends none."""
    match message:
        case events.TaskReceived():
            return spans.session_root(
                message.correlation_id, message.agent, message.tenant, message.occurred_at
            )
        case events.TaskCompleted() | events.TaskFailed() | events.TaskCancelled() | events.TaskEscalated():
            return spans.session_summary(
                message.correlation_id,
                message.agent,
                message.received_at,
                message.occurred_at,
                type(message).__name__,
                message.total,
                "" if isinstance(message, events.TaskCompleted) else _reason(message),
            )
        case events.PlanAccepted() | events.StepSucceeded() | events.EvaluationRecorded():
            return _of_call(message, message.call, message.usage)
        case events.PlanRejected():
            return _of_call(message, message.call, message.usage, message.failure.code)
        case events.ReviewRecorded():
            return _of_call(message, message.call, message.usage)
        case events.CallFailed():
            return _of_call(message, message.call, message.usage, _failure(message.call))
        case events.CallTimedOut() if message.call.kind is not CallKind.RECOVERY:
            return _of_call(message, message.call, Usage(), "timed_out")
        case _:
            return None


def _of_call(event: Event, call: Call, usage: Usage, error: str = "") -> Span | None:
    """The span of an attempt; that of a plan ends with its reviews."""
    if not call.opened_at:
        return None
    begun, ended = call.opened_at, event.occurred_at
    match purpose_of(call):
        case CallKind.PLAN:
            return spans.planning(event.correlation_id, call, begun, ended, usage, error)
        case CallKind.REVIEW:
            return spans.reviewing(event.correlation_id, call, begun, ended, error)
        case CallKind.SELECTION | CallKind.TOOL:
            return spans.step_attempt(event.correlation_id, call, begun, ended, usage, error)
        case CallKind.EVALUATION:
            return spans.evaluation(event.correlation_id, call, begun, ended, usage, error)
        case CallKind.RECOVERY | CallKind.UNKNOWN:
            return None
        case kind:
            assert_never(kind)


def _failure(call: Call) -> str:
    return call.failure.code if call.failure else "failed"


def _reason(event: events.TaskFailed | events.TaskCancelled | events.TaskEscalated) -> str:
    return "cancelled" if isinstance(event, events.TaskCancelled) else event.failure.code

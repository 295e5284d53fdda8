"""The metrics and spans of a worker."""

import asyncio
from typing import Any

from orchestrator.bus.deadline import Deadline
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk import Context, ModelContent, ModelRequest, Plugins, Usage
from orchestrator.sdk.context import Runtime
from orchestrator.telemetry.content import Content
from orchestrator.telemetry.context import EVERY_SESSION, root_span_id, span_id, traceparent
from orchestrator.telemetry.metrics import ProcessMetrics
from orchestrator.telemetry.redaction import Redaction
from orchestrator.telemetry.spans import Kind, Span, tool_call
from orchestrator.telemetry.tracing import NoTracing
from orchestrator.testing.memory import MemoryDefinitions, MemoryValues
from orchestrator.worker.host import Host, ProcessContext
from orchestrator.worker.observer import Observer
from tests.support.workers import TIMEOUT_S, Lab, command, echo, started, until


class MemoryTracing:
    """Keeps spans."""

    enabled = True
    sampling = EVERY_SESSION

    def __init__(self, content: Content | None = None) -> None:
        self.content = content
        self.spans: list[Span] = []

    def emit(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Has nothing to close."""


def run_one(lab: Lab, context: ProcessContext) -> Any:
    """One call, handled by a worker in this context; the record of its reply."""
    service = echo(before=lambda _number: asyncio.sleep(0.01))
    host = Host(lab.bus, lab.codec, context)
    host.start(Deadline.after(TIMEOUT_S))
    try:
        with started(service, host):
            lab.execute(1)
            until(lambda: lab.completed() == [1], "it is completed")
    finally:
        host.stop(Deadline.after(TIMEOUT_S))
    (reply,) = lab.read(Topic.EVENTS)
    return reply


def test_spans_of_the_handler_and_the_tool_run_join_the_sessions_trace(lab: Lab) -> None:
    tracing = MemoryTracing()
    reply = run_one(lab, ProcessContext(Plugins(), MemoryValues(), tracings={echo().name: tracing}))

    session = command(1).correlation_id
    processing, run = tracing.spans
    own = span_id(command(1).message_id, "echo")
    assert (processing.name, processing.span_id) == ("process execute.commands", own)
    assert processing.parent_id == root_span_id(session)
    assert processing.ended_at - processing.started_at >= 10_000
    assert run.name == "execute_tool echo"
    assert {span.correlation_id for span in tracing.spans} == {session}
    assert reply.header("traceparent") == traceparent(session, own).encode()


def test_a_request_to_a_model_is_a_span_below_its_call() -> None:
    tracing = MemoryTracing()
    observer = Observer("planner", ProcessMetrics(), tracing, "planner")
    asked = command(1)
    first = ModelRequest(
        model="openai:gpt-5-mini",
        provider="openai",
        started_at=1_000_000,
        first_token_at=1_500_000,
        ended_at=3_000_000,
        tokens_input=100,
        tokens_output=20,
        cost_micro_usd=350,
        finish_reason="stop",
    )
    lost = ModelRequest(
        model="openai:gpt-5-mini", started_at=3_000_000, ended_at=4_000_000, error="ModelTimeoutError"
    )
    context = Context("planner", asked, runtime(observer))

    context.trace(first)
    context.trace(lost)

    one, other = tracing.spans
    assert (one.name, one.kind, one.parent_id) == (
        "chat openai:gpt-5-mini",
        Kind.CLIENT,
        span_id(asked.call.call_id),
    )
    assert one.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": asked.correlation_id,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "openai:gpt-5-mini",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "agents.usage.cost_usd": 0.00035,
    }
    assert other.error == other.attributes["error.type"] == "ModelTimeoutError"
    assert one.span_id != other.span_id


def asked(request: ModelRequest, tracing: MemoryTracing) -> Span:
    """The span of a request."""
    observer = Observer("planner", ProcessMetrics(), tracing, "planner")
    Context("planner", command(1), runtime(observer)).trace(request)
    (span,) = tracing.spans
    return span


def test_what_a_model_was_asked_is_not_in_its_span() -> None:
    def content() -> ModelContent:
        raise AssertionError("nobody wants it")

    span = asked(ModelRequest(model="m", started_at=1, ended_at=2, content=content), MemoryTracing())

    assert not [name for name in span.attributes if name.endswith((".messages", ".system_instructions"))]


def test_what_a_model_was_asked_is_in_its_span_where_that_is_wanted() -> None:
    message = {"role": "user", "parts": [{"type": "text", "content": "the password=hunter2"}]}
    request = ModelRequest(
        model="m",
        started_at=1,
        ended_at=2,
        content=lambda: ModelContent(input=[message], instructions="Count."),
    )

    span = asked(request, MemoryTracing(Content(Redaction())))

    assert span.attributes["gen_ai.system_instructions"] == '[{"type":"text","content":"Count."}]'
    assert span.attributes["gen_ai.input.messages"] == (
        '[{"role":"user","parts":[{"type":"text","content":"the password=***"}]}]'
    )


def test_a_message_that_is_handled_twice_has_a_span_for_each_request_and_run() -> None:
    """Two spans of one id would be shown as one, or as a mistake."""
    tracing = MemoryTracing()
    observer = Observer("planner", ProcessMetrics(), tracing, "planner")
    message = command(1)

    for started_at in (1_000_000, 2_000_000):
        request = ModelRequest(model="openai:gpt-5-mini", started_at=started_at, ended_at=started_at + 1)
        Context("planner", message, runtime(observer)).trace(request)
    runs = [
        tool_call(message.correlation_id, message.call, "echo", started_at, started_at + 1, Usage())
        for started_at in (1_000_000, 2_000_000)
    ]

    spans = [*tracing.spans, *runs]
    assert len({span.span_id for span in spans}) == 4
    assert {span.parent_id for span in spans} == {span_id(message.call.call_id)}


def runtime(observer: Observer) -> Runtime:
    async def emit(_message: Message) -> None:
        raise AssertionError("nothing is sent")

    return Runtime(
        definitions=MemoryDefinitions(),
        values=MemoryValues(),
        emit=emit,
        now=lambda: 0,
        trace=observer.model_requested,
    )


def test_without_tracing_replies_still_name_the_sessions_root(lab: Lab) -> None:
    reply = run_one(lab, ProcessContext(Plugins(), MemoryValues()))

    assert reply.header("traceparent") == traceparent(command(1).correlation_id).encode()


def test_handling_time_and_messages_read_and_written_are_measured(lab: Lab) -> None:
    metrics = ProcessMetrics()
    run_one(lab, ProcessContext(Plugins(), MemoryValues(), metrics=metrics))

    exposed = metrics.exposition().decode()
    assert 'agents_handling_seconds_count{service="echo",type="ExecuteTool"} 1.0' in exposed
    assert 'agents_messages_received_total{topic="execute.commands"} 1.0' in exposed
    assert 'agents_messages_sent_total{topic="events"} 1.0' in exposed


def test_lag_counts_from_the_lowest_incomplete_offset() -> None:
    metrics = ProcessMetrics()
    ends = {(Topic.EVENTS, 0): (5, 20), (Topic.EVENTS, 1): (5, 20)}
    Observer("echo", metrics, NoTracing(), "echo").lag(ends, {(Topic.EVENTS, 0): 17})

    exposed = metrics.exposition().decode()
    assert 'agents_consumer_lag{group="echo",partition="0",topic="events"} 3.0' in exposed
    assert 'agents_consumer_lag{group="echo",partition="1",topic="events"} 15.0' in exposed

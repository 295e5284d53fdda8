"""The spans of a session, created when their work is over, from ids and times in its messages.

The id of a span is derived from its work: whichever process creates it and however often, it is the same span.
So a parent can be named before it exists, and a batch that is handled twice exports nothing new. Times are Unix
time in microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from orchestrator.messages.types import Call, Usage
from orchestrator.sdk.model_requests import ModelRequest
from orchestrator.telemetry import conventions as names
from orchestrator.telemetry.context import root_span_id, span_id

Attribute = str | int | float | bool | tuple[str, ...]
NOTHING: Final[Mapping[str, Attribute]] = {}


class Kind(StrEnum):
    """OpenTelemetry's kind of a span."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span of a session's trace. `parent_id` is empty for the root, `error` for a success."""

    name: str
    correlation_id: str
    span_id: str
    parent_id: str
    started_at: int
    ended_at: int
    kind: Kind = Kind.INTERNAL
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    error: str = ""


def session_root(correlation_id: str, agent: str, tenant: str, accepted_at: int) -> Span:
    """The root, exported at acceptance: one that stayed open until the end would be lost with its process, and
    the trace would have no root."""
    attributes: dict[str, Attribute] = {
        names.OPERATION: "invoke_agent",
        names.AGENT: agent,
        names.CONVERSATION_ID: correlation_id,
        names.TENANT: tenant,
    }
    return Span(
        names.invoke_agent(agent),
        correlation_id,
        root_span_id(correlation_id),
        "",
        accepted_at,
        accepted_at,
        Kind.SERVER,
        attributes,
    )


def session_summary(
    correlation_id: str,
    agent: str,
    accepted_at: int,
    ended_at: int,
    outcome: str,
    total: Usage,
    error: str = "",
) -> Span:
    """The whole session, exported at its end. `outcome` is the short name of the event that ended it."""
    attributes = {names.AGENT: agent, names.OUTCOME: outcome, **_used(total)}
    return Span(
        names.session_ended(agent),
        correlation_id,
        span_id(correlation_id, "ended"),
        root_span_id(correlation_id),
        accepted_at,
        ended_at,
        attributes=attributes,
        error=error,
    )


def planning(
    correlation_id: str, call: Call, started_at: int, ended_at: int, usage: Usage, error: str = ""
) -> Span:
    """From the request of a plan to the planner's reply."""
    return _of_call(names.PLAN, correlation_id, call, started_at, ended_at, usage, error)


def evaluation(
    correlation_id: str, call: Call, started_at: int, ended_at: int, usage: Usage, error: str = ""
) -> Span:
    """From the request of an evaluation to the evaluator's reply."""
    return _of_call(names.EVALUATE, correlation_id, call, started_at, ended_at, usage, error)


def reviewing(correlation_id: str, call: Call, started_at: int, ended_at: int, error: str = "") -> Span:
    """From the request of a review to the verdict."""
    return _of_call(names.review(call.step_id), correlation_id, call, started_at, ended_at, Usage(), error)


def step_attempt(
    correlation_id: str, call: Call, started_at: int, ended_at: int, usage: Usage, error: str = ""
) -> Span:
    """One attempt at a step, from its call to the reply, including the wait for a worker."""
    return _of_call(names.step(call.step_id), correlation_id, call, started_at, ended_at, usage, error)


def tool_call(
    correlation_id: str, call: Call, tool: str, started_at: int, ended_at: int, usage: Usage, error: str = ""
) -> Span:
    """One run of a tool, created by its executor; its parent is the attempt."""
    attributes: dict[str, Attribute] = {
        names.OPERATION: "execute_tool",
        names.TOOL: tool,
        names.TOOL_CALL_ID: call.call_id,
        **_used(usage),
    }
    return Span(
        names.execute_tool(tool),
        correlation_id,
        # A command that is delivered twice runs twice. No span names these as their parent, so their time may tell
        # them apart.
        span_id(call.call_id, "tool", str(started_at)),
        span_id(call.call_id),
        started_at,
        ended_at,
        attributes=attributes,
        error=error,
    )


def model_request(
    correlation_id: str,
    message_id: str,
    call_id: str,
    number: int,
    request: ModelRequest,
    content: Mapping[str, Attribute] = NOTHING,
) -> Span:
    """One request to a model, created by the service that sent it; its parent is the call that it is for. `content`
    are the attributes of what was asked and answered."""
    waited = request.first_token_at - request.started_at if request.first_token_at else 0
    attributes: dict[str, Attribute] = {
        names.OPERATION: "chat",
        names.CONVERSATION_ID: correlation_id,
        names.REQUEST_MODEL: request.model,
    }
    known: dict[str, Attribute] = {
        names.PROVIDER: request.provider,
        names.RESPONSE_MODEL: request.responded_as,
        names.REQUEST_MAX_TOKENS: request.max_tokens,
        names.FINISH_REASONS: (request.finish_reason,) if request.finish_reason else (),
        names.FIRST_CHUNK_SECONDS: waited / 1_000_000,
        names.TOKENS_INPUT: request.tokens_input,
        names.TOKENS_CACHED: request.tokens_cached,
        names.TOKENS_OUTPUT: request.tokens_output,
        names.COST_USD: request.cost_micro_usd / 1_000_000,
        names.ERROR_TYPE: request.error,
    }
    return Span(
        names.chat(request.model),
        correlation_id,
        span_id(message_id, "model", str(number), str(request.started_at)),
        span_id(call_id) if call_id else root_span_id(correlation_id),
        request.started_at,
        request.ended_at,
        Kind.CLIENT,
        {**attributes, **{name: value for name, value in known.items() if value}, **content},
        request.error,
    )


def processing(
    correlation_id: str,
    message_id: str,
    group: str,
    topic: str,
    parent_id: str,
    started_at: int,
    ended_at: int,
    error: str = "",
) -> Span:
    """A service's handling of one message. `parent_id` comes from its `traceparent`."""
    attributes: dict[str, Attribute] = {
        names.MESSAGING_SYSTEM: names.KAFKA,
        names.MESSAGING_OPERATION: "process",
        names.MESSAGING_DESTINATION: topic,
        names.MESSAGING_GROUP: group,
        names.MESSAGING_MESSAGE_ID: message_id,
    }
    return Span(
        names.process(topic),
        correlation_id,
        span_id(message_id, group),
        parent_id or root_span_id(correlation_id),
        started_at,
        ended_at,
        Kind.CONSUMER,
        attributes,
        error,
    )


def _of_call(
    name: str, correlation_id: str, call: Call, started_at: int, ended_at: int, usage: Usage, error: str
) -> Span:
    attributes: dict[str, Attribute] = {
        names.REVISION: call.revision,
        names.ATTEMPT: call.attempt,
        **({names.TURN: call.turn} if call.turn else {}),
        **({names.STEP: call.step_id} if call.step_id else {}),
        **({names.TOOL: call.tool} if call.tool else {}),
        **_used(usage),
    }
    return Span(
        name,
        correlation_id,
        span_id(call.call_id),
        root_span_id(correlation_id),
        started_at,
        ended_at,
        attributes=attributes,
        error=error,
    )


def _used(usage: Usage) -> dict[str, Attribute]:
    used: dict[str, Attribute] = {
        names.TOKENS_INPUT: usage.tokens_input,
        names.TOKENS_OUTPUT: usage.tokens_output,
        names.TOKENS_CACHED: usage.tokens_cached,
        names.MODEL_REQUESTS: usage.model_requests,
        names.TOOL_CALLS: usage.tool_calls,
        names.COST_USD: usage.cost_micro_usd / 1_000_000,
    }
    return {name: amount for name, amount in used.items() if amount}

"""The JSON form of what operations return: the command line prints it, and an HTTP API would return it.

Keys are part of the public interface. Times are ISO 8601 in UTC with microseconds, cost is in US dollars.
`errors.error_document` is the form of an error.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from orchestrator.bus.headers import rfc3339
from orchestrator.messages.base import Event
from orchestrator.messages.events import ModelProgressed, ToolProgressed
from orchestrator.messages.usage import tokens_of
from orchestrator.operations.errors import failure_document
from orchestrator.sessions.timeline import entry_of
from orchestrator.sessions.view import shown

if TYPE_CHECKING:
    # A command loads what it needs, not what the documents of all others need.
    from orchestrator.bus.kafka.topics import TopicPlan
    from orchestrator.client.dead_letters import DeadLetter
    from orchestrator.engine.recovery.verify import Report
    from orchestrator.messages.types import ToolDefinition, Usage
    from orchestrator.operations.conversations import ShownConversation, ShownOpening
    from orchestrator.operations.definitions import Definitions
    from orchestrator.operations.payloads import Payload
    from orchestrator.operations.tasks import Outcome
    from orchestrator.schemas import Applied, Finding
    from orchestrator.sessions.projection import SessionRow


def with_trace(document: Mapping[str, Any], link: str) -> dict[str, Any]:
    """The document of a session with the address of its trace; unchanged if `link` is empty."""
    return {**document, "trace_url": link} if link else dict(document)


def event_document(event: Event) -> dict[str, Any]:
    """An event as `sessions watch` streams it."""
    entry = entry_of(event)
    return {
        "correlation_id": event.correlation_id,
        "sequence": entry.sequence,
        "type": entry.type,
        "occurred_at": rfc3339(entry.occurred_at),
        "summary": entry.summary,
    }


def progress_document(report: Event) -> dict[str, Any]:
    """What a tool or a model reports while it is at work, as `sessions watch` streams it."""
    names: tuple[str, ...]
    match report:
        case ModelProgressed():
            names = ("request", "part", "position", "tool", "text", "ended")
        case ToolProgressed():
            names = ("fraction", "note")
        case _:
            return event_document(report)
    own = {name: getattr(report, name) for name in names}
    return {**event_document(report), "call_id": report.call.call_id, **own}


def session_document(row: "SessionRow") -> dict[str, Any]:
    """A session in the list of sessions."""
    return {
        "correlation_id": row.correlation_id,
        "phase": row.phase,
        "goal": row.goal,
        "agent": row.agent,
        "tenant": row.tenant,
        "key": row.key,
        "started_at": rfc3339(row.started_at),
        "updated_at": rfc3339(row.updated_at),
        "ended_at": None if row.ended_at is None else rfc3339(row.ended_at),
        "revision": row.revision,
        "turn": row.turn,
        "tool_calls": row.tool_calls,
        "model_requests": row.model_requests,
        "tokens": row.tokens,
        "tokens_cached": row.tokens_cached,
        "cost": row.cost_micro_usd / 1_000_000,
    }


def conversation_document(found: "ShownConversation") -> dict[str, Any]:
    """A conversation. Messages are in the form of the planner that wrote them."""
    opening = found.opening
    return {
        "correlation_id": found.correlation_id,
        "agent": found.agent,
        "goal": found.goal,
        "sequence": found.sequence,
        "opening": {
            "context": opening.context,
            "memory": opening.memory,
            "model": _model_document(opening),
        },
        "turns": [
            {
                "turn": turn.turn,
                "revision": turn.revision,
                "planned_at": None if turn.planned_at is None else rfc3339(turn.planned_at),
                "used": usage_document(turn.used),
                "segment": {
                    "uri": turn.segment.uri,
                    "size": turn.segment.size,
                    "sha256": turn.segment.sha256,
                },
                "messages": list(turn.messages),
            }
            for turn in found.turns
        ],
    }


def usage_document(used: "Usage") -> dict[str, Any]:
    """What was used; `tokens` are input and output together, of which `tokens_cached` were cached. What is
    unsettled is on its own."""
    return {
        "tool_calls": used.tool_calls,
        "model_requests": used.model_requests,
        "tokens": tokens_of(used),
        "tokens_cached": used.tokens_cached,
        "cost": used.cost_micro_usd / 1_000_000,
        "requests_unsettled": used.requests_unsettled,
        "tokens_unsettled": used.tokens_unsettled,
        "cost_unsettled": used.cost_unsettled_micro_usd / 1_000_000,
    }


def _model_document(opening: "ShownOpening") -> dict[str, Any] | None:
    """The model of an agent, with its settings as JSON, and its instructions and examples as they are."""
    model = opening.model
    if model is None:
        return None
    return {
        **to_builtins(model),
        "settings": json.loads(model.settings),
        "output_schema": json.loads(model.output_schema) if model.output_schema else None,
        "instructions": opening.instructions,
        "examples": opening.examples,
    }


def outcome_document(outcome: "Outcome") -> dict[str, Any]:
    """What a session settled with; `phase` is null if it did not settle."""
    # The client imports Kafka's, which most documents do without.
    from orchestrator.client.errors import TaskError

    document = {"phase": outcome.phase, "result": outcome.result}
    if isinstance(outcome.error, TaskError):
        document["failure"] = failure_document(outcome.error.failure)
    return document


def dead_letter_document(found: "DeadLetter") -> dict[str, Any]:
    """A dead letter in the list of dead letters."""
    event = found.event
    return {
        "id": event.event_id,
        "correlation_id": event.correlation_id,
        "occurred_at": rfc3339(event.occurred_at),
        "service": event.service,
        "stage": event.stage,
        "failure": failure_document(event.failure),
        "topic": event.original.topic,
        "partition": event.original.partition,
        "offset": event.original.offset,
    }


def whole_dead_letter_document(found: "DeadLetter", payload: "Payload") -> dict[str, Any]:
    """A dead letter with its message, and with the state of its session if that was escalated."""
    from orchestrator.operations.payloads import readable

    event = found.event
    return dead_letter_document(found) | {
        "agent": event.agent,
        "tenant": event.tenant,
        "timestamp_ms": event.original.timestamp_ms,
        "key": readable(event.original.key),
        "headers": [[header.name, readable(header.value)] for header in event.original.headers],
        "value": {
            "form": payload.form,
            "schema": payload.schema,
            "content": payload.content,
            "size": len(event.original.value or b""),
        },
        "cut": [{"part": one.part, "size": one.size, "sha256": one.sha256} for one in event.original.cut],
        "sequence": event.sequence,
        "state": shown(event.state),
    }


def agents_document(found: "Definitions") -> dict[str, Any]:
    """The agents and playbooks that are defined."""
    playbooks = [{"name": one.name, "version": one.version, "source": one.source} for one in found.playbooks]
    return {"agents": to_builtins(found.agents), "playbooks": playbooks}


def tool_document(tool: "ToolDefinition") -> dict[str, Any]:
    """A tool, its schemas as JSON."""
    schemas = {name: json.loads(getattr(tool, name)) for name in ("arguments_schema", "output_schema")}
    return {**to_builtins(tool), **schemas}


def topic_document(plan: "TopicPlan") -> dict[str, Any]:
    """How a topic differs from the catalogue."""
    return {
        "topic": plan.name,
        "partitions": plan.partitions,
        "partitions_now": plan.partitions_now,
        "changes": [{"name": one.name, "now": one.now, "wanted": one.wanted} for one in plan.changes],
        "refusal": plan.refusal,
        "in_order": plan.in_order,
    }


def applied_schema_document(applied: "Applied") -> dict[str, Any]:
    """What applying did to one subject."""
    return {"subject": applied.subject, "id": applied.schema_id, "outcome": applied.outcome}


def schema_finding_document(finding: "Finding") -> dict[str, Any]:
    """How one subject differs from this version."""
    return {"subject": finding.subject, "problem": finding.problem}


def verification_document(report: "Report") -> dict[str, Any]:
    """What `verify` found."""
    return {
        "sound": report.is_sound,
        "partitions": report.partitions,
        "sessions": report.sessions,
        "events": report.events,
        "snapshots": report.snapshots,
        "compared": report.compared,
        "truncated": report.truncated,
        "findings": [
            {
                "problem": finding.problem.value,
                "correlation_id": finding.correlation_id,
                "partition": finding.partition,
                "offset": finding.offset,
                "message": finding.message,
            }
            for finding in report.findings
        ],
    }

"""The messages that services read and write, and the functions for their ids and documents."""

from msgspec.structs import replace

from orchestrator.messages import commands, events, types
from orchestrator.messages.base import Command, Definition, Event, Message, SessionEvent
from orchestrator.messages.bounds import LONGEST_WAIT_MS
from orchestrator.messages.identity import derived_id, idempotency_key
from orchestrator.messages.plans import dependencies
from orchestrator.messages.timeouts import QUEUE_MS
from orchestrator.messages.usage import MOST_COUNTED, cost_at_most, rest_of, share_of, tokens_at_most
from orchestrator.messages.values import fill_content, json_value, not_finite_text, read_json, steps_named

__all__ = [
    "LONGEST_WAIT_MS",
    "MOST_COUNTED",
    "QUEUE_MS",
    "Command",
    "Definition",
    "Event",
    "Message",
    "SessionEvent",
    "commands",
    "cost_at_most",
    "dependencies",
    "derived_id",
    "events",
    "fill_content",
    "idempotency_key",
    "json_value",
    "not_finite_text",
    "read_json",
    "replace",
    "rest_of",
    "share_of",
    "steps_named",
    "tokens_at_most",
    "types",
]

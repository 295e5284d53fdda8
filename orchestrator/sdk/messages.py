"""The messages that services read and write, and the functions for their ids and documents."""

from msgspec.structs import replace

from orchestrator.messages import commands, events, types
from orchestrator.messages.base import Command, Definition, Event, Message, SessionEvent
from orchestrator.messages.bounds import LONGEST_WAIT_MS
from orchestrator.messages.filling import Room, fill_content, require_room
from orchestrator.messages.identity import derived_id, idempotency_key
from orchestrator.messages.numbers import LEAST_NORMAL, MOST_DIGITS, SURE_DIGITS, keeps_digits
from orchestrator.messages.plans import dependencies
from orchestrator.messages.texts import MOST_PROBLEMS, first_of, named, short
from orchestrator.messages.timeouts import QUEUE_MS
from orchestrator.messages.usage import MOST_COUNTED, cost_at_most, rest_of, share_of, tokens_at_most
from orchestrator.messages.values import json_value, read_json, steps_named

__all__ = [
    "LEAST_NORMAL",
    "LONGEST_WAIT_MS",
    "MOST_COUNTED",
    "MOST_DIGITS",
    "MOST_PROBLEMS",
    "QUEUE_MS",
    "SURE_DIGITS",
    "Command",
    "Definition",
    "Event",
    "Message",
    "Room",
    "SessionEvent",
    "commands",
    "cost_at_most",
    "dependencies",
    "derived_id",
    "events",
    "fill_content",
    "first_of",
    "idempotency_key",
    "json_value",
    "keeps_digits",
    "named",
    "read_json",
    "replace",
    "require_room",
    "rest_of",
    "share_of",
    "short",
    "steps_named",
    "tokens_at_most",
    "types",
]

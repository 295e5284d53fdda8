"""Identities: every id that can be derived is derived, so that handling a message twice yields the same ids.

Derived ids are version 5 UUIDs (RFC 9562, section 5.5) under one namespace of ours.
"""

from hashlib import sha1
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = uuid5(UUID(int=0), "kafka-agent-orchestrator")
_PREFIX: Final = NAMESPACE.bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The hexadecimal digit with its two highest bits set to 10, as RFC 9562 has it."""


def derived_id(*parts: object) -> str:
    """The version 5 UUID of the parts, joined by slashes.

    Written out by hand, because `uuid5` costs four times as much.
    """
    text = sha1(_PREFIX + "/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def output_id(input_id: str, producer: str, index: int) -> str:
    """Id of the `index`-th message that `producer` writes because of the message `input_id`."""
    return derived_id("output", input_id, producer, index)


def session_of_key(tenant: str, key: str) -> str:
    """Correlation id of the session that a tenant's business key stands for."""
    return derived_id("session", tenant, key)


def session_at(topic: str, partition: int, offset: int) -> str:
    """Correlation id of a task that names none: it follows from where the task lies."""
    return derived_id("session-at", topic, partition, offset)


def call_id(correlation_id: str, kind: str, revision: int, step_id: str, attempt: int) -> str:
    """Id of one attempt at something a session waits for."""
    return derived_id("call", correlation_id, kind, revision, step_id, attempt)


def review_call_id(plan_call_id: str, reviewer: str) -> str:
    """Id of the wait for a reviewer's verdict on the plan that answered a call: on that plan and no other."""
    return derived_id("review", plan_call_id, reviewer)


def idempotency_key(correlation_id: str, revision: int, step_id: str) -> str:
    """What a tool may use to recognise the same work: stable over redelivery and retries of the step."""
    return derived_id("idempotency", correlation_id, revision, step_id)


def canonical_uuid(text: str) -> str | None:
    """`text` in the canonical form of a UUID, or None if it is not one."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def trace_id(correlation_id: str) -> int:
    """The session's OpenTelemetry trace id: the 128 bits of its correlation id."""
    return int(correlation_id.replace("-", ""), 16)

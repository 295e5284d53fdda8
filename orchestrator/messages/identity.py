"""Identities: every id that can be derived is derived, so that handling a message twice yields the same ids.

Derived ids are version 5 UUIDs (RFC 9562, section 5.5) under one namespace of ours.
"""

from hashlib import sha1
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = uuid5(UUID(int=0), "kafka-agent-orchestrator")
_PREFIX: Final = NAMESPACE.bytes


def derived_id(*parts: object) -> str:
    """The version 5 UUID of the parts, joined by slashes.

    Written out by hand, because `uuid5` costs three times as much.
    """
    digest = bytearray(
        sha1(_PREFIX + "/".join(map(str, parts)).encode(), usedforsecurity=False).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


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

"""Ids. Every id that can be derived is derived, so that handling a message twice yields the same ids.

Derived ids are version 5 UUIDs (RFC 9562, section 5.5) in a namespace of the platform.
"""

from hashlib import sha1
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = uuid5(UUID(int=0), "kafka-agent-orchestrator")
_PREFIX: Final = NAMESPACE.bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A hexadecimal digit with its two highest bits set to 10: the variant of RFC 9562, section 4.1."""


def derived_id(*parts: object) -> str:
    """The version 5 UUID of the parts, joined by slashes. Computed here, because `uuid5` takes four times as long."""
    text = sha1(_PREFIX + "/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def output_id(input_id: str, producer: str, index: int) -> str:
    """Id of the `index`-th message that `producer` writes in response to the message `input_id`."""
    return derived_id("output", input_id, producer, index)


def session_of_key(tenant: str, key: str) -> str:
    """Correlation id of the session of a tenant's business key."""
    return derived_id("session", tenant, key)


def session_at(topic: str, partition: int, offset: int) -> str:
    """Correlation id of a task that has none: derived from the position of its record."""
    return derived_id("session-at", topic, partition, offset)


def call_id(correlation_id: str, kind: str, revision: int, step_id: str, attempt: int) -> str:
    """Id of a call: of one attempt at what a session waits for."""
    return derived_id("call", correlation_id, kind, revision, step_id, attempt)


def review_call_id(plan_call_id: str, reviewer: str) -> str:
    """Id of the call for a review of the plan that replied to `plan_call_id`, and of no other plan."""
    return derived_id("review", plan_call_id, reviewer)


def idempotency_key(correlation_id: str, revision: int, step_id: str) -> str:
    """Lets a tool recognise repeated work: the same for every redelivery and retry of a step."""
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

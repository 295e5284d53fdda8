"""Ids. Every id that can be derived is derived, so that handling a message twice yields the same ids.

Derived ids are version 5 UUIDs (RFC 9562, section 5.5) in a namespace of the platform. A session's id is derived from
nothing that others know: whoever can compute it could take the session's place.
"""

import re
from hashlib import sha1, sha256
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = uuid5(UUID(int=0), "kafka-agent-orchestrator")
_PREFIX: Final = NAMESPACE.bytes
_BEGUN: Final = sha1(_PREFIX, usedforsecurity=False)
"""Copies of it take half the time of new digests."""
UUID_LENGTH: Final = 36
"""Characters of the canonical form."""
CLAIM_BYTES: Final = 16
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A hexadecimal digit with its two highest bits set to 10: the variant of RFC 9562, section 4.1."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXTREMES: Final = (str(UUID(int=0)), str(UUID(int=(1 << 128) - 1)))


def derived_id(*parts: object) -> str:
    """The version 5 UUID of the parts, joined by slashes. Computed here, because `uuid5` takes four times as long.

    At most one part may be a text of somebody else's: two of them could be divided otherwise and yield the same id.
    """
    digest = _BEGUN.copy()
    digest.update("/".join(map(str, parts)).encode())
    return uuid_text(digest.hexdigest(), version=5)


def uuid_text(digest: str, version: int) -> str:
    """A UUID of this version with the bits of a digest, given as 32 hexadecimal digits or more."""
    variant = _VARIANT[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-{version}{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def output_id(correlation_id: str, input_id: str, producer: str, index: int) -> str:
    """Id of the `index`-th message of a session that `producer` writes in response to the message `input_id`.

    The session is a part of it: who writes a request chooses its id, and may write one to another session under it.
    """
    return derived_id("output", correlation_id, input_id, producer, index)


def claim_of(tenant: str, key: str) -> bytes:
    """Whose a session is: a digest of tenant and business key, 16 bytes. Its first bit tells whether there is a key.

    The tenant's length comes first, so that no two pairs have one claim.
    """
    owner = tenant.encode("utf-8", "surrogatepass")
    text = b"%d/%b/%b" % (len(owner), owner, key.encode("utf-8", "surrogatepass"))
    digest = bytearray(sha256(_PREFIX + text).digest()[:CLAIM_BYTES])
    digest[0] = digest[0] | 0x80 if key else digest[0] & 0x7F
    return bytes(digest)


def has_key(claim: bytes) -> bool:
    """Whether a session with this claim has a business key."""
    return claim[0] >= 0x80


def session_at(installation: str, topic: str, partition: int, offset: int, attempt: int = 0) -> str:
    """Correlation id of a task that has none: derived from where its record lies. `attempt` numbers the candidates
    where not every id will do."""
    return derived_id("session-at", topic, partition, offset, attempt, installation)


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
    """`text` in lower case if it is a UUID in its canonical form, 8-4-4-4-12 hexadecimal digits; None otherwise.

    None also for the nil and the max UUID, which name nothing (RFC 9562, sections 4, 5.9 and 5.10).
    """
    found = text.lower() if _UUID.fullmatch(text) else None
    return None if found in _EXTREMES else found


def trace_id(correlation_id: str) -> int:
    """The session's OpenTelemetry trace id: the 128 bits of its correlation id."""
    return int(correlation_id.replace("-", ""), 16)

"""Ids of new sessions."""

import secrets
import time
from uuid import UUID

from orchestrator.bus.partitioning import partition_of
from orchestrator.messages.identity import claim_of

_RANDOM_BITS = 74


def new_session() -> str:
    """A version 7 UUID (RFC 9562, section 5.7): Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(_RANDOM_BITS)
    high, low = random >> 62, random & (1 << 62) - 1
    return str(UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low))


def new_session_of_key(tenant: str, key: str, partitions: int) -> str:
    """As `new_session`, in the partition of the tenant's business key: all its sessions are in that one."""
    home = partition_of(claim_of(tenant, key).hex(), partitions)
    while partition_of(session := new_session(), partitions) != home:
        pass
    return session

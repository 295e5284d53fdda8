"""Trace context of sessions: the trace id is the correlation id, span ids derive from ids in messages.

Format: W3C Trace Context, `version-trace id-parent id-flags` in lower-case hexadecimal.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_RANDOM_BITS: Final = 56


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which sessions are traced: `ratio` of them, from 0 to 1. All processes decide the same way, so a session is
    traced completely or not at all.

    Decides by the last 56 bits of the trace id, which W3C Trace Context Level 2 requires to be random and which
    are random in UUIDs of versions 4, 5 and 7. OpenTelemetry's `TraceIdRatioBased` uses the last 64, which hold
    a UUID's variant: up to a ratio of a half it would sample nothing, from three quarters on everything.
    """

    ratio: float = 1.0

    def sampled(self, correlation_id: str) -> bool:
        if self.ratio >= 1.0:
            return True
        random = int(correlation_id.replace("-", "")[-_RANDOM_BITS // 4 :], 16)
        return random < self.ratio * (1 << _RANDOM_BITS)


EVERY_SESSION: Final = Sampling()


def span_id(*parts: str) -> str:
    """The id of the span that these parts identify, 16 hexadecimal digits. Deterministic."""
    return blake2b("/".join(parts).encode(), digest_size=8).hexdigest()


def root_span_id(correlation_id: str) -> str:
    """The id of a session's root span: the second half of its correlation id."""
    return correlation_id.replace("-", "")[16:]


def traceparent(correlation_id: str, parent: str = "", sampling: Sampling = EVERY_SESSION) -> str:
    """The header of a session's message that the span `parent` caused, by default the root span."""
    trace = correlation_id.replace("-", "")
    flags = "01" if sampling.ratio >= 1.0 or sampling.sampled(correlation_id) else "00"
    return f"00-{trace}-{parent or trace[16:]}-{flags}"


def parent_of(header: bytes | str | None) -> str | None:
    """The parent span id in a `traceparent` header; None if it is missing or invalid."""
    if header is None:
        return None
    text = header.decode("ascii", "replace") if isinstance(header, bytes) else header
    match = _TRACEPARENT.fullmatch(text)
    return match[2] if match and int(match[2], 16) else None

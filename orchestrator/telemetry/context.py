"""Trace context of sessions: the trace id is the correlation id, span ids follow from ids in messages.

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
    """Which sessions are traced: `ratio` of them, from 0 to 1, each wholly or not at all, in every process
    alike.

    Decides by the last 56 bits of the trace id, which W3C Trace Context Level 2 asks to be random and which
    are so in UUIDs of versions 4, 5 and 7. OpenTelemetry's `TraceIdRatioBased` takes the last 64, where a
    UUID keeps its variant: up to a half it would sample nothing, from three quarters on everything.
    """

    ratio: float = 1.0

    def sampled(self, correlation_id: str) -> bool:
        if self.ratio >= 1.0:
            return True
        random = int(correlation_id.replace("-", "")[-_RANDOM_BITS // 4 :], 16)
        return random < self.ratio * (1 << _RANDOM_BITS)


EVERY_SESSION: Final = Sampling()


def span_id(*parts: str) -> str:
    """The id of the span that these parts name, 16 hexadecimal digits: the same when it is made again."""
    return blake2b("/".join(parts).encode(), digest_size=8).hexdigest()


def root_span_id(correlation_id: str) -> str:
    """The id of a session's root span: the second half of its correlation id."""
    return correlation_id.replace("-", "")[16:]


def traceparent(correlation_id: str, parent: str = "", sampling: Sampling = EVERY_SESSION) -> str:
    """The header of a message of a session, caused in the span `parent`, by default the root."""
    trace = correlation_id.replace("-", "")
    flags = "01" if sampling.ratio >= 1.0 or sampling.sampled(correlation_id) else "00"
    return f"00-{trace}-{parent or trace[16:]}-{flags}"


def parent_of(header: bytes | str | None) -> str | None:
    """The parent span id in a `traceparent` header; None without a valid one."""
    if header is None:
        return None
    text = header.decode("ascii", "replace") if isinstance(header, bytes) else header
    match = _TRACEPARENT.fullmatch(text)
    return match[2] if match and int(match[2], 16) else None

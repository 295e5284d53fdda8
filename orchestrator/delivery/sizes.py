"""How large a record is, and may be."""

from typing import Final

from orchestrator.bus.ports import Outgoing

RECORD_BYTES: Final = 1_000_000
"""Largest record: librdkafka's default for `message.max.bytes`, a little below the broker's."""
_OVERHEAD: Final = 100
"""Bytes of a record's own fields, and of a producer batch that holds this record alone."""
_PER_HEADER: Final = 10
"""Bytes of the length fields of a header."""


def size_of(outgoing: Outgoing) -> int:
    """Upper bound of a record's bytes on the wire, a few bytes above the true size."""
    headers = sum(_length(name) + len(value or b"") + _PER_HEADER for name, value in outgoing.headers)
    return len(outgoing.key or b"") + len(outgoing.value or b"") + headers + _OVERHEAD


def _length(name: str) -> int:
    return len(name) if name.isascii() else len(name.encode("utf-8", "replace"))

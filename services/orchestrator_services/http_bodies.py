"""Bodies of HTTP that are read as they come: each layer of packing may make them a thousand times as large."""

from collections.abc import Mapping
from typing import Final

ACCEPTED: Final = "identity"
"""What requests accept, as the header Accept-Encoding has it: no packing."""


def packing(headers: Mapping[str, str]) -> str:
    """How a body is packed although its request did not accept that; empty if it is not."""
    found = headers.get("content-encoding", ACCEPTED).strip().lower()
    return "" if found in ("", ACCEPTED) else found[:100]

"""Faults that all scripts have in common."""

from typing import Final

from tests.support.model_server import BadCredentials, BreakStream, Reply, Request, TooManyRequests

RATE_LIMITED: Final = (TooManyRequests(retry_after=0.3),) * 3
_CHUNKS: Final = 4
"""Of a stream that breaks off: the first ones name the role and the tool, the others have words."""


def break_off(request: Request | None = None) -> BreakStream:
    """In the middle of a stream; with a request, when the gate that is named after its task is open."""
    return BreakStream(_CHUNKS, gate=request.task if request else "")


def bad_key(request: Request) -> Reply:
    return BadCredentials(key=request.headers["authorization"].removeprefix("Bearer "))

"""How the two processes of a run talk: frames of a kind and JSON, never code.

The executor reads what a hostile run may have written: every frame is bounded before it is read, and is data only.
"""

import json
import socket
import struct
from typing import Any, Final, NoReturn

REQUEST: Final = b"Q"
"""To the run: what to call, and within which limits."""
RESULT: Final = b"R"
FAILURE: Final = b"F"
PROGRESS: Final = b"P"
"""From the run."""

_HEAD: Final = struct.Struct("!cI")
MOST_REQUEST: Final = 256 << 20
MOST_FAILURE: Final = 64 << 10
"""Bytes of a failure."""
MOST_REPORT: Final = 4 << 10
"""Bytes of a report of progress, or of what is used."""
MOST_REPORTS: Final = 1_000
"""Reports of a run that are passed on as they come."""


class FrameError(ValueError):
    """What came is no frame, or too large."""


def send(channel: socket.socket, kind: bytes, content: Any) -> None:
    send_encoded(channel, kind, encoded(content))


def send_encoded(channel: socket.socket, kind: bytes, payload: bytes) -> None:
    channel.sendall(_HEAD.pack(kind, len(payload)) + payload)


def encoded(content: Any) -> bytes:
    """JSON in ASCII. Raises `ValueError` for what it cannot hold, such as NaN."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def receive(channel: socket.socket, most: dict[bytes, int]) -> tuple[bytes, bytearray] | None:
    """Kind and JSON text of the next frame; None at the end. `most` has the kinds that may come, and their bytes.

    Raises `FrameError` for anything else, `OSError` if the channel breaks.
    """
    head = _exactly(channel, _HEAD.size)
    if head is None:
        return None
    kind, size = _HEAD.unpack(head)
    if size > most.get(kind, -1):
        raise FrameError(f"a frame of kind {kind!r} with {size} bytes")
    payload = _exactly(channel, size)
    return None if payload is None else (kind, payload)


def decoded(payload: bytes | bytearray) -> Any:
    """What a small frame says. Raises `FrameError` for what is no JSON."""
    try:
        return json.loads(payload, parse_constant=_refuse)
    except FrameError:
        raise
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {type(error).__name__}") from error


def _refuse(constant: str) -> NoReturn:
    raise FrameError(f"not JSON: {constant}")


def _exactly(channel: socket.socket, size: int) -> bytearray | None:
    """None if the channel ends before."""
    found = bytearray()
    while len(found) < size:
        part = channel.recv(min(size - len(found), 1 << 20))
        if not part:
            return None
        found += part
    return found

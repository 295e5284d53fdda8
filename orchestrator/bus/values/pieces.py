"""Reads what a store gives, piece by piece, bounded in bytes and in time."""

from collections.abc import Callable
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ContractError, UnavailableError

_PIECE: Final = 1024 * 1024
"""Largest piece, bytes: after each one the bounds are checked."""


def whole(read: Callable[[int], bytes], uri: str, most: int, deadline: Deadline) -> bytes:
    """What `read` gives until it gives nothing; it returns what is there already, up to as many bytes as it is
    asked for.

    Raises `ContractError` for more than `most` bytes, and `UnavailableError` if the end is not reached in time.
    """
    content = bytearray()
    while piece := read(min(_PIECE, most + 1 - len(content))):
        content += piece
        if len(content) > most:
            raise too_large(uri, most)
        if deadline.passed:
            raise UnavailableError(
                f"{uri} cannot be read in time: {len(content)} bytes came, the rest did not"
            )
    return bytes(content)


def too_large(uri: str, most: int) -> ContractError:
    return ContractError(f"{uri} has more than {most} bytes, and no more may be read")

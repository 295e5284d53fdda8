"""Session ids as people write them: whole, or the beginning of one. Imports little: a command parses them first."""

from typing import Final

from orchestrator.messages.identity import canonical_uuid
from orchestrator.operations.errors import NotFoundError, UsageError

SHORTEST_PREFIX: Final = 8
"""The fewest characters of an id that are looked up."""

_REST: Final = "0" * 8 + "-0000" * 3 + "-" + "0" * 11 + "1"
"""An id: what follows a beginning to make it whole."""


def session_id(text: str) -> str:
    """A session's id, or the beginning of one, in lower case. Raises `UsageError` for anything else."""
    if found := canonical_uuid(text):
        return found
    if SHORTEST_PREFIX <= len(text) < len(_REST) and (whole := canonical_uuid(text + _REST[len(text) :])):
        return whole[: len(text)]
    raise UsageError(
        f"{text[:60]!r} is not a session id: write the UUID that submit printed, or at least its first "
        f"{SHORTEST_PREFIX} characters"
    )


def is_whole(given: str) -> bool:
    """Whether `given` is an id rather than the beginning of one."""
    return canonical_uuid(given) == given


def whole_id(given: str) -> str:
    """Returns the id. Raises `NotFoundError` if it is only the beginning of one."""
    if not is_whole(given):
        raise NotFoundError(f"{given} is only the beginning of an id: write the whole id")
    return given

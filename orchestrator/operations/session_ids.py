"""Session ids as people write them: whole, or the beginning of one. Imports little: a command parses them first."""

import re
from typing import Final

from orchestrator.messages.identity import canonical_uuid
from orchestrator.operations.errors import NotFoundError, UsageError

SHORTEST_PREFIX: Final = 8
"""The fewest characters of an id that are looked up."""

_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")


def session_id(text: str) -> str:
    """A session's id, or the beginning of one, in lower case. Raises `UsageError` for anything else."""
    if found := canonical_uuid(text):
        return found
    if _PREFIX.fullmatch(text.lower()):
        return text.lower()
    raise UsageError(
        f"{text!r} is not a session id: write the UUID that submit printed, or at least its first "
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

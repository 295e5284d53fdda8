"""Inputs: everything a session handles, and which decoded messages are inputs."""

from typing import TypeAlias, TypeGuard

import msgspec

from orchestrator.messages.base import Message, Record
from orchestrator.saga.replies import REPLIES, Reply
from orchestrator.saga.requests import REQUESTS, Control, Request


class TimePassed(msgspec.Struct, frozen=True, kw_only=True):
    """Something may be due."""

    message_id: str
    until: int
    """Timeouts up to this time (Unix, microseconds) may expire: everything written before it has been read, so
    a reply that an outage has delayed wins over its timeout."""


Input: TypeAlias = Request | Reply | TimePassed

Direct: TypeAlias = Control | Reply
"""Messages that are inputs as they are. A `SubmitTask` is not: it becomes a `Submission` first."""


def is_direct(message: Message | Record) -> TypeGuard[Direct]:
    """Whether a decoded message is an input of a session as it is."""
    return type(message) in REPLIES or type(message) in REQUESTS

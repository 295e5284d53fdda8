"""Notes of a strategy in a conversation: what it has to know after a restart, and no model is told."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.sdk import Conversation

_SAID: Final = frozenset({"request", "response"})
"""Kinds of the messages that models wrote or were sent."""


def note(kind: str, **content: Any) -> dict[str, Any]:
    """A note. What is None is left out."""
    return {"kind": kind, **{name: value for name, value in content.items() if value is not None}}


def notes(conversation: Conversation, kind: str) -> Iterator[Mapping[str, Any]]:
    """The notes of a kind, last one first."""
    return (one for one in reversed(conversation.messages) if one.get("kind") == kind)


def is_said(message: Mapping[str, Any]) -> bool:
    """Whether a message belongs to what a model is sent; False for notes."""
    return message.get("kind") in _SAID

"""Conversations: what a planner says and is told over the turns of a session, as a chain of values.

Each turn writes one segment with what it adds, which names the segment before it. Messages carry the last segment
by reference, so a turn costs what it adds, however long the conversation is.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from orchestrator.errors import ContractError
from orchestrator.messages.base import Record
from orchestrator.messages.types import ModelPolicy, Value
from orchestrator.messages.values import json_value, read_json
from orchestrator.sdk.context import Values

MOST_BYTES: Final = 128 * 1024 * 1024
"""Memory that the conversations of a process may take, bytes, with what planners keep beside them."""
MEMORY_PER_BYTE: Final = 12
"""Memory for each byte of a segment: JSON as Python's objects, and again as those of a model's client (measured)."""


class Opening(Record, frozen=True, kw_only=True):
    """What a planner is told once, in its first turn."""

    context: Value | None = None
    memory: Value | None = None
    model: ModelPolicy | None = None


NO_OPENING: Final = Opening()


class Segment(Record, frozen=True, kw_only=True):
    """What one plan added to a conversation."""

    turn: int
    revision: int
    previous: Value | None = None
    opening: Opening | None = None
    """In the first segment only."""
    messages: tuple[Any, ...] = ()
    """JSON data, in the form of the planner that wrote it."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation up to one of its segments."""

    head: Value | None = None
    """The last segment; None before the first."""
    opening: Opening = NO_OPENING
    turn: int = 0
    """Turn of the last segment."""
    messages: tuple[Any, ...] = ()
    """JSON data, oldest first."""
    size: int = 0
    """Bytes of its segments."""
    memo: Any = None
    """What the planner kept beside the last segment (`Plan.memo`); None if this process has it no more."""


NEW: Final = Conversation()
"""One that has not begun."""


class Conversations:
    """The recent conversations of a process, by the place and the hash of their last segment."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str | None, str], Conversation] = OrderedDict()
        self._bytes = 0

    async def read(self, head: Value | None, values: Values) -> Conversation:
        """The conversation up to a segment. Raises `ContractError` for a segment that is missing or damaged.

        Reads from the value store what this process does not have, one segment after the other.
        """
        missing: list[tuple[Value, Segment]] = []
        while head is not None and _key(head) not in self._kept:
            segment = segment_of(head, await values.load(head))
            missing.append((head, segment))
            head = segment.previous
        found = self._kept[_key(head)] if head is not None else NEW
        for value, segment in reversed(missing):
            found = _extended(found, value, segment, memo=None)
        self._keep(found)
        return found

    async def extend(
        self,
        conversation: Conversation,
        messages: tuple[Any, ...],
        values: Values,
        *,
        turn: int,
        revision: int,
        opening: Opening,
        memo: Any = None,
    ) -> Conversation:
        """The conversation with another segment, which is in the value store when this returns.

        Raises `ContractError` for messages that JSON cannot hold, or where no value store is configured.
        """
        first = conversation.head is None
        added = Segment(
            turn=turn,
            revision=revision,
            previous=conversation.head,
            opening=opening if first else None,
            messages=messages,
        )
        # What is kept here is what the store gives back, not the planner's own objects.
        content = read_json(json_value(added))
        head = await values.keep(content)
        extended = _extended(conversation, head, segment_of(head, content), memo)
        self._forget(conversation)
        self._keep(extended)
        return extended

    def _keep(self, conversation: Conversation) -> None:
        head = conversation.head
        # Without a hash, a value's place says nothing of what is there now.
        if head is None or not head.sha256 or _memory(conversation) > self._most_bytes:
            return
        self._forget(conversation)
        self._kept[_key(head)] = conversation
        self._bytes += _memory(conversation)
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _memory(oldest)

    def _forget(self, conversation: Conversation) -> None:
        if conversation.head is not None and _key(conversation.head) in self._kept:
            self._bytes -= _memory(self._kept.pop(_key(conversation.head)))


def _key(head: Value) -> tuple[str | None, str]:
    return head.uri, head.sha256


def _memory(conversation: Conversation) -> int:
    return conversation.size * MEMORY_PER_BYTE


def segment_of(value: Value, content: Any) -> Segment:
    """The segment that a value holds, from its content. Raises `ContractError` for content of another kind."""
    try:
        return msgspec.convert(content, Segment)
    except msgspec.ValidationError as error:
        raise ContractError(f"{value.uri} is not a segment of a conversation: {error}") from error


def _extended(before: Conversation, head: Value, segment: Segment, memo: Any) -> Conversation:
    return replace(
        before,
        head=head,
        opening=segment.opening or before.opening,
        turn=segment.turn,
        messages=(*before.messages, *segment.messages),
        size=before.size + head.size,
        memo=memo,
    )

"""Conversations: chains of segments in the value store, and the recent ones in memory."""

from typing import Any

import pytest

from orchestrator.messages.types import ModelPolicy, Value
from orchestrator.messages.values import json_value
from orchestrator.sdk import ContractError, Conversation, Conversations, Opening
from orchestrator.sdk.conversations import MEMORY_PER_BYTE, NEW
from orchestrator.testing.memory import MemoryValues

OPENING = Opening(context=json_value({"city": "Oslo"}), model=ModelPolicy(name="provider:model"))


class CountingValues(MemoryValues):
    """Counts what is read from the store."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def load(self, value: Value | None) -> Any:
        self.reads += 1
        return await super().load(value)


async def of_turns(
    conversations: Conversations, values: MemoryValues, turns: int, text: str = "hello"
) -> list[Conversation]:
    """The conversation after each of these turns."""
    found = NEW
    after = []
    for turn in range(1, turns + 1):
        found = await conversations.extend(
            found,
            ({"turn": turn, "text": text},),
            values,
            turn=turn,
            revision=turn,
            opening=OPENING,
            memo=turn,
        )
        after.append(found)
    return after


async def test_a_conversation_is_read_back_from_its_head() -> None:
    values = MemoryValues()
    *_, written = await of_turns(Conversations(), values, 3)

    read = await Conversations().read(written.head, values)

    assert [message["turn"] for message in read.messages] == [1, 2, 3]
    assert (read.turn, read.opening, read.size) == (3, OPENING, written.size)


async def test_each_turn_writes_what_it_adds_and_nothing_else() -> None:
    values = MemoryValues()

    after = await of_turns(Conversations(), values, 50)

    sizes = [one.head.size for one in after if one.head]
    assert len(values.stored) == 50
    assert max(sizes[1:]) - min(sizes[1:]) < 10
    assert b"Oslo" not in b"".join(list(values.stored.values())[1:])


async def test_a_process_does_not_read_what_it_has() -> None:
    values, conversations = CountingValues(), Conversations()
    *_, last = await of_turns(conversations, values, 5)

    read = await conversations.read(last.head, values)

    assert (values.reads, read.memo) == (0, 5)


async def test_another_process_reads_on_from_what_it_has() -> None:
    values, other = CountingValues(), Conversations()
    after = await of_turns(Conversations(), values, 5)
    await other.read(after[2].head, values)
    values.reads = 0

    read = await other.read(after[4].head, values)

    assert values.reads == 2
    assert len(read.messages) == 5
    assert read.memo is None


async def test_memory_is_bounded_by_the_size_of_the_segments() -> None:
    values = CountingValues()
    (sample,) = await of_turns(Conversations(), values, 1, text="x" * 1000)
    conversations = Conversations(most_bytes=sample.size * 2 * MEMORY_PER_BYTE)
    heads = [(await of_turns(conversations, values, 1, text=letter * 1000))[0].head for letter in "abc"]

    await conversations.read(heads[2], values)
    await conversations.read(heads[1], values)
    assert values.reads == 0
    await conversations.read(heads[0], values)
    assert values.reads == 1


async def test_a_conversation_larger_than_the_memory_is_read_every_time() -> None:
    values, conversations = CountingValues(), Conversations(most_bytes=10)
    (only,) = await of_turns(conversations, values, 1)

    for _ in range(2):
        assert (await conversations.read(only.head, values)).messages == only.messages
    assert values.reads == 2


async def test_a_value_that_is_no_segment_is_refused() -> None:
    values = MemoryValues()
    foreign = await values.keep(["not", "a", "segment"])

    with pytest.raises(ContractError, match="not a segment of a conversation"):
        await Conversations().read(foreign, values)

"""What a conversation of 100 turns and 200,000 tokens costs: a turn costs what it adds, and no more than that a few
times. It is the session that `make bench-conversation` measures on a real Kafka."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
import pytest

import benchmarks.conversation
from benchmarks.conversation import plugins
from benchmarks.conversation.texts import ANSWER, produced_bytes
from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.delivery.sizes import size_of
from orchestrator.engine.state.snapshots import MIN_EVENT_BYTES
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.commands import CreatePlan
from orchestrator.messages.events import ModelProgressed
from orchestrator.saga import Session, evolve
from orchestrator.testing import Harness

TURNS = 100
COMPARED = 10
AGENT = Path(benchmarks.conversation.__file__).parent / "agent" / "agent.yaml"


@dataclass(frozen=True)
class Talk:
    """Bytes of one session."""

    turns: Sequence[int]
    """Of the messages of each turn."""
    history: int
    """Of the orchestrator's own events."""
    states: Sequence[int]
    """Of the state at the beginning of each turn after the first, as a snapshot holds it."""
    values: int
    """In the value store."""
    progress: int
    """Of what is shown while the model writes, which is kept for an hour and is in none of the others."""


@pytest.fixture(scope="module")
def talk() -> Talk:
    return asyncio.run(_talk())


async def _talk() -> Talk:
    async with Harness(plugins, documents=[AGENT], timeout_s=60) as harness:
        session = await harness.submit(f"Read {TURNS} pages", agent="reader")
        assert session.result == ANSWER
        shown = [one for one in session.messages if isinstance(one, ModelProgressed)]
        messages = [one for one in session.messages if not isinstance(one, ModelProgressed)]
        sizes = _sizes(messages)
        return Talk(
            turns=list(_by_turn(messages, sizes).values()),
            history=sum(
                size for one, size in zip(messages, sizes, strict=True) if isinstance(one, SessionEvent)
            ),
            states=_states(messages),
            values=sum(map(len, harness.values.stored.values())),
            progress=sum(_sizes(shown)),
        )


def _sizes(messages: Sequence[Message]) -> list[int]:
    encoder = Codec(CatalogueIds())
    return [size_of(encoder.encode(one, source="/harness/0")) for one in messages]


def _by_turn(messages: Sequence[Message], sizes: Sequence[int]) -> Counter[int]:
    turn, found = 0, Counter[int]()
    for message, size in zip(messages, sizes, strict=True):
        turn += isinstance(message, CreatePlan)
        found[turn] += size
    return found


def _states(messages: Sequence[Message]) -> Sequence[int]:
    state: Session | None = None
    found = []
    for message in messages:
        if isinstance(message, SessionEvent):
            state = evolve(state, message)
        if isinstance(message, CreatePlan):
            found.append(len(msgspec.msgpack.encode(state)))
    return found[1:]


def test_a_turn_writes_what_it_adds(talk: Talk) -> None:
    # What came before the first turn, and the last one, which only answers, are left out.
    turns = talk.turns[1:-1]
    assert len(turns) == TURNS - 1
    assert median(turns[-COMPARED:]) <= median(turns[1 : 1 + COMPARED]) * 1.01


def test_messages_are_at_most_four_times_what_model_and_tools_produced(talk: Talk) -> None:
    snapshots = talk.history / MIN_EVENT_BYTES * max(talk.states)
    assert sum(talk.turns) + snapshots <= 4 * produced_bytes(TURNS)


def test_showing_what_the_model_writes_costs_less_than_what_was_produced(talk: Talk) -> None:
    assert 0 < talk.progress <= produced_bytes(TURNS) / 2


def test_the_value_store_holds_the_conversation_once(talk: Talk) -> None:
    assert talk.values <= 1.25 * produced_bytes(TURNS)


def test_the_state_does_not_grow(talk: Talk) -> None:
    assert max(talk.states) <= talk.states[0] + 100

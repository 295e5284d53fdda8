"""How the loop writes into the value store, and how long it leaves a store alone that has failed."""

from pathlib import Path

import pytest

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.state.store_writes import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    WRITE_S,
    StoreAway,
    StoreWrites,
)
from orchestrator.messages.types import Value
from orchestrator.messages.values import json_value
from tests.support.away_values import FORBIDDEN, FULL, AwayValues

VALUE = json_value("content")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> AwayValues:
    return AwayValues(tmp_path)


def fails(writes: StoreWrites, value: Value = VALUE) -> None:
    with pytest.raises(StoreAway):
        writes.stored(value)


@pytest.mark.parametrize("failure", [FULL, FORBIDDEN], ids=["full", "forbidden"])
def test_a_store_that_failed_is_left_alone_for_a_while_whatever_is_to_be_written(
    store: AwayValues, failure: Exception
) -> None:
    clock = Clock()
    writes = StoreWrites(MessageValues(store), clock)
    store.failure = failure
    fails(writes)
    assert writes.problem == str(failure)

    fails(writes, json_value("other content"))
    assert store.writes == 1
    clock.now += writes.pause_s
    fails(writes)
    assert store.writes == 2


def test_pauses_grow_to_their_bound_until_the_store_takes_a_value(store: AwayValues) -> None:
    clock = Clock()
    writes = StoreWrites(MessageValues(store), clock)
    store.failure = FULL
    pauses = []
    for _ in range(9):
        fails(writes)
        pauses.append(writes.pause_s)
        clock.now += writes.pause_s
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-2:] == [LONGEST_PAUSE_S, LONGEST_PAUSE_S]

    store.failure = None
    assert writes.stored(VALUE).uri is not None
    assert (writes.problem, writes.pause_s) == ("", 0.0)
    store.failure = FULL
    fails(writes)
    assert writes.pause_s == FIRST_PAUSE_S


def test_what_needs_no_store_asks_none(store: AwayValues) -> None:
    writes = StoreWrites(MessageValues(store))
    store.failure = FULL
    fails(writes)

    assert writes.placed(VALUE) == VALUE
    assert writes.stored(Value(uri="values:stored")) == Value(uri="values:stored")
    assert StoreWrites(MessageValues()).stored(VALUE) == VALUE
    assert store.writes == 1


def test_a_write_is_waited_for_no_longer_than_a_loop_may_wait(store: AwayValues) -> None:
    waited: list[float | None] = []

    class Values(MessageValues):
        def stored(self, value: Value, timeout_s: float | None = None) -> Value:
            waited.append(timeout_s)
            return super().stored(value, timeout_s)

    StoreWrites(Values(store)).stored(VALUE)

    assert waited == [WRITE_S]

"""Positions that are not read for a while."""

from orchestrator.bus.ports import Position, Received
from orchestrator.engine.held import HeldPositions
from orchestrator.messages.catalogue import Topic

EVENTS: Position = (Topic.EVENTS, 0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(partition: int, offset: int) -> Received:
    return Received(Topic.EVENTS, partition, offset, 0, None, None)


def test_records_of_held_positions_are_dropped_and_counted_as_unhandled() -> None:
    clock = Clock()
    held = HeldPositions(clock)

    assert held.hold(EVENTS, 2)
    assert held.kept([record(0, 5), record(1, 7)]) == [record(1, 7)]
    assert held.is_client_ahead(0)
    assert not held.is_client_ahead(1)


def test_a_position_is_released_in_time_and_behind_until_it_is_read_again() -> None:
    clock = Clock()
    held = HeldPositions(clock)
    held.hold(EVENTS, 2)
    held.dropped(EVENTS)

    assert not held.hold(EVENTS, 1)
    clock.now = 1.5
    assert held.due() == []
    clock.now = 2
    assert held.due() == [EVENTS]
    assert EVENTS not in held
    assert held.is_client_ahead(0)
    assert held.kept([record(0, 5)]) == [record(0, 5)]
    assert not held.is_client_ahead(0)


def test_a_partition_that_is_given_up_is_not_held() -> None:
    held = HeldPositions(Clock())
    held.hold(EVENTS, 2)
    held.dropped(EVENTS)
    held.hold((Topic.TASKS, 1), 2)

    held.forget(0)

    assert EVENTS not in held
    assert not held.is_client_ahead(0)
    assert (Topic.TASKS, 1) in held

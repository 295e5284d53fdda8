"""Timers are found when they are due and cost nothing until then; they fire after the events before them are read."""

from collections.abc import Iterable

from orchestrator.engine.state.timers import REFRESH_MICROS, SLACK, Horizon, Timers


def test_due_sessions_are_found_earliest_first_and_stay_armed() -> None:
    timers = Timers()
    for name, due in (("b", 20), ("a", 10), ("c", 30)):
        timers.arm(0, name, due)
    assert timers.next_at() == 10
    assert [name for _, name, _ in timers.due(25, 10)] == ["a", "b"]
    assert [name for _, name, _ in timers.due(25, 1)] == ["a"]


def test_a_session_that_is_armed_back_and_forth_is_due_once() -> None:
    timers = Timers()
    for due in (10, 20, 10):
        timers.arm(0, "a", due)
    assert timers.due(50, 10) == [(10, "a", 0)]


def test_a_disarmed_session_is_never_due() -> None:
    timers = Timers()
    timers.arm(0, "a", 10)
    timers.arm(0, "b", 10)
    timers.disarm("a")
    timers.arm(0, "b", None)
    assert timers.next_at() is None
    assert timers.due(50, 10) == []


def test_stale_entries_do_not_pile_up() -> None:
    timers = Timers()
    for due in range(50_000):
        timers.arm(0, "busy", due)
    assert len(timers._heap) <= SLACK + 3
    assert timers.next_at() == 49_999


def test_a_timer_waits_until_the_events_before_it_have_been_read() -> None:
    now, ends = [1_000_000], {0: 7}

    def end_offsets(numbers: Iterable[int]) -> dict[int, int]:
        return {number: ends[number] for number in numbers}

    horizon = Horizon(end_offsets, lambda: now[0])
    assert not horizon.reached(0, due=1_000_000, position=99), "no end offset has been requested yet"
    horizon.refresh({0: 1_000_000})
    assert not horizon.reached(0, due=1_000_000, position=6)
    assert horizon.reached(0, due=1_000_000, position=7)

    ends[0] = 9
    now[0] += 10
    horizon.refresh({0: 1_000_005})
    assert not horizon.reached(0, due=1_000_005, position=9), "end offsets are not requested for each timer"
    now[0] += REFRESH_MICROS
    horizon.refresh({0: 1_000_005})
    assert not horizon.reached(0, due=1_000_005, position=8)
    assert horizon.reached(0, due=1_000_005, position=9)


def test_a_postponed_session_is_due_later_and_keeps_no_other_from_being_due() -> None:
    timers = Timers()
    for name, due in (("a", 10), ("b", 20)):
        timers.arm(0, name, due)
    timers.postpone("a", 40)

    assert [name for _, name, _ in timers.due(30, 1)] == ["b"]
    assert timers.postponed == 1
    assert timers.due(50, 10) == [(20, "b", 0), (40, "a", 0)]


def test_a_postponed_session_that_is_armed_again_or_disarmed_is_not_postponed() -> None:
    timers = Timers()
    for name in ("a", "b"):
        timers.arm(0, name, 10)
        timers.postpone(name, 40)
    timers.postpone("c", 40)
    timers.arm(0, "a", 10)
    timers.disarm("b")

    assert timers.postponed == 0
    assert timers.due(50, 10) == [(10, "a", 0)]

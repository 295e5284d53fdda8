"""How fast dead letters may come: by partition, and by what failed."""

from orchestrator.delivery.caps import BURST, DECODE, DeadLetterCap, DeadLetterCaps
from orchestrator.messages.catalogue import Topic


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_they_are_spaced() -> None:
    clock = Clock()
    cap = DeadLetterCap(burst=3, per_second=10, clock=clock)

    assert [round(cap.spend(), 6) for _ in range(6)] == [0, 0, 0, 0.1, 0.2, 0.3]

    clock.now += 100
    assert [round(cap.spend(), 6) for _ in range(4)] == [0, 0, 0, 0.1]


def test_a_partition_does_not_spend_what_another_one_may() -> None:
    caps = DeadLetterCaps(Clock())

    assert caps.spend((Topic.TASKS, 0), DECODE, 1_000) > 0
    assert caps.spend((Topic.TASKS, 1), DECODE) == 0
    assert caps.spend((Topic.CONTROL, 0), DECODE) == 0


def test_four_hundred_records_of_junk_hold_up_their_partition_for_three_seconds() -> None:
    caps = DeadLetterCaps(Clock())

    assert round(caps.spend((Topic.TASKS, 0), DECODE, 400), 6) == 3


def test_failures_of_handlers_and_decisions_are_slowed_more() -> None:
    caps = DeadLetterCaps(Clock())

    assert round(caps.spend((Topic.EVENTS, 0), "decide", BURST + 100), 6) == 10
    assert caps.spend((Topic.EVENTS, 0), DECODE) == 0

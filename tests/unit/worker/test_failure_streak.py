"""How long to wait after each of many failures, and which of them are said."""

from itertools import pairwise

from orchestrator.worker.failure_streak import FIRST_SILENCE_S, LONGEST_SILENCE_S, FailureStreak

DAY_S = 86_400


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_waits_grow_to_their_bound_until_something_succeeds() -> None:
    streak = FailureStreak(1, 6)
    assert [streak.fail()[0] for _ in range(5)] == [1, 2, 4, 6, 6]

    assert streak.end() == 5
    assert streak.fail()[0] == 1


def test_the_first_failure_is_said_and_later_ones_together_with_growing_pauses() -> None:
    clock = Clock()
    streak = FailureStreak(1, 10, clock)
    said: list[tuple[float, int]] = []
    for _ in range(DAY_S // 10):
        backoff_s, to_say = streak.fail()
        if to_say:
            said.append((clock.now, to_say))
        clock.now += backoff_s

    assert said[0] == (Clock.now, 1)
    pauses = [after - before for (before, _), (after, _) in pairwise(said)]
    assert pauses[0] >= FIRST_SILENCE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] < LONGEST_SILENCE_S + 10
    assert len(said) < 40
    assert DAY_S // 10 - LONGEST_SILENCE_S // 10 <= sum(count for _, count in said) <= streak.end()


def test_the_first_failure_after_a_success_is_said() -> None:
    streak = FailureStreak(1, 10, Clock())
    assert [streak.fail()[1] for _ in range(3)] == [1, 0, 0]
    streak.end()
    assert streak.fail()[1] == 1
    assert streak.end() == 1
    assert streak.end() == 0

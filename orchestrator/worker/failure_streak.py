"""What fails again and again: how long to wait after each failure, and when to say that it still fails."""

import time
from collections.abc import Callable
from typing import Final

FIRST_SILENCE_S: Final = 60.0
LONGEST_SILENCE_S: Final = 3_600.0
"""Logs may be on the disk whose being full is said: 24 lines a day do not keep it full."""


class FailureStreak:
    """Failures since the last success. Used by one thread."""

    def __init__(
        self, initial_backoff_s: float, max_backoff_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._initial_backoff_s = initial_backoff_s
        self._max_backoff_s = max_backoff_s
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._unsaid = 0
        self._next_backoff_s = self._initial_backoff_s
        self._next_silence_s = FIRST_SILENCE_S
        self._silent_until = float("-inf")

    def fail(self) -> tuple[float, int]:
        """Counts a failure. Returns how many seconds to wait before the next attempt, twice as many each time up to
        the bound; and of how many failures to say now that they happened, 0 for not saying anything: the first is
        said, then those of a minute together, of two, of four, up to an hour."""
        self._count += 1
        self._unsaid += 1
        backoff_s = self._next_backoff_s
        self._next_backoff_s = min(2 * backoff_s, self._max_backoff_s)
        now, to_say = self._clock(), 0
        if now >= self._silent_until:
            to_say, self._unsaid = self._unsaid, 0
            self._silent_until = now + self._next_silence_s
            self._next_silence_s = min(2 * self._next_silence_s, LONGEST_SILENCE_S)
        return backoff_s, to_say

    def end(self) -> int:
        """A success. Returns how many failures there were before it."""
        count = self._count
        if count:
            self._begin()
        return count

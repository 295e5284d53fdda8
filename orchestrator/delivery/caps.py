"""How fast dead letters may be written: by partition, and looser for records that never decoded.

A fault of ours, such as a deployment with a bug, turns every record into a dead letter. Without a cap it would
dead-letter the whole backlog before an operator can look at the first one. So a partition that exceeds its cap is not
read until it is within the cap again. Nothing is dropped, and no other partition waits (`docs/decisions/0018`).
"""

import time
from collections.abc import Callable
from typing import Final

from orchestrator.bus.ports import Position

DECODE: Final = "decode"
"""Stage: the record is not a message of the catalogue."""
_REFUSED: Final = frozenset({DECODE, "route", "match"})
"""Stages at which a record is refused before a session or a handler has it."""

BURST: Final = 100
"""Dead letters that a partition may have at once."""
PER_SECOND: Final = 10.0
"""Of records that a handler or a decision failed with, after the burst."""
UNDECODED_PER_SECOND: Final = 100.0
"""Of records that do not decode, after the burst. They changed nothing and ran nothing, and anybody can write them:
they must not hold up the records behind them for long."""


class DeadLetterCap:
    """At most `burst` dead letters at once and `per_second` after that. Used by one thread."""

    def __init__(
        self,
        burst: int = BURST,
        per_second: float = PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spacing = 1 / per_second
        self._ahead = burst * self._spacing
        self._clock = clock
        self._next = clock() - self._ahead

    def spend(self, count: int = 1) -> float:
        """Counts dead letters. Returns the seconds until the last of them is within the rate, 0 if it is already."""
        now = self._clock()
        self._next = max(self._next, now - self._ahead) + count * self._spacing
        return max(0.0, self._next - now)


class DeadLetterCaps:
    """The caps of all partitions that one reader reads. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._caps: dict[tuple[Position, bool], DeadLetterCap] = {}

    def spend(self, position: Position, stage: str, count: int = 1) -> float:
        """Counts dead letters of a partition. Returns the seconds for which it is not to be read."""
        is_undecoded = stage in _REFUSED
        cap = self._caps.get((position, is_undecoded))
        if cap is None:
            rate = UNDECODED_PER_SECOND if is_undecoded else PER_SECOND
            cap = self._caps[position, is_undecoded] = DeadLetterCap(BURST, rate, self._clock)
        return cap.spend(count)

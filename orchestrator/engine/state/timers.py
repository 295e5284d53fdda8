"""When sessions are due, and whether it may be acted on."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Final

SLACK: Final = 1_024
"""Stale entries of the heap that are not worth clearing away."""
LOOK_MICROS: Final = 50_000
"""How often the end of events is looked at, at most: timers may be that late."""


class Timers:
    """One entry a session is armed at a time; stale ones are skipped when they come up, and cleared away when
    they outnumber the armed ones: a busy session moves its due time with every message."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, int]] = []
        self._armed: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, partition: int, correlation_id: str, due: int | None) -> None:
        """Notes when a session is due now, Unix microseconds; None where it waits for messages alone."""
        if due is None:
            self._armed.pop(correlation_id, None)
        elif self._armed.get(correlation_id) != (due, partition):
            self._armed[correlation_id] = (due, partition)
            heapq.heappush(self._heap, (due, correlation_id, partition))
            if len(self._heap) > 2 * len(self._armed) + SLACK:
                self._clear_stale()

    def forget(self, correlation_id: str) -> None:
        self._armed.pop(correlation_id, None)

    def next_at(self) -> int | None:
        """The earliest due time."""
        while self._heap:
            due, correlation_id, partition = self._heap[0]
            if self._armed.get(correlation_id) == (due, partition):
                return due
            heapq.heappop(self._heap)
        return None

    def due(self, now: int, limit: int) -> list[tuple[int, str, int]]:
        """At most `limit` sessions that are due, the longest first: due time, id, partition. They stay armed."""
        found: dict[str, tuple[int, str, int]] = {}
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, correlation_id, partition = entry = heapq.heappop(self._heap)
            if self._armed.get(correlation_id) == (due, partition):
                found[correlation_id] = entry
        for entry in found.values():
            heapq.heappush(self._heap, entry)
        return list(found.values())

    def _clear_stale(self) -> None:
        self._heap = [(due, name, partition) for name, (due, partition) in self._armed.items()]
        heapq.heapify(self._heap)


class Horizon:
    """How far events has been read, against its end at a look taken after a due time: replies that waited
    behind an outage win over their time-outs.

    `ends` gives the ends of events as everybody wrote them, committed or not, by partition.
    """

    def __init__(self, ends: Callable[[Iterable[int]], Mapping[int, int]], clock: Callable[[], int]) -> None:
        self._ends = ends
        self._clock = clock
        self._looks: dict[int, tuple[int, int]] = {}
        """By partition: when its end was looked at, and where it lay."""

    def look(self, dues: Mapping[int, int]) -> None:
        """Looks at partitions whose last look is older than their due time, all at once."""
        now = self._clock()
        stale = [number for number, due in dues.items() if self._looks.get(number, (-1, 0))[0] < due]
        fresh = [number for number in stale if now - self._looks.get(number, (0, 0))[0] >= LOOK_MICROS]
        if fresh:
            for number, end in self._ends(fresh).items():
                self._looks[number] = (now, end)

    def reached(self, number: int, due: int, position: int) -> int | None:
        """Up to when everything that lay in events has been read; None where that is before the due time."""
        looked_at, end = self._looks.get(number, (-1, 0))
        return looked_at if looked_at >= due and position >= end else None

    def forget(self, number: int) -> None:
        self._looks.pop(number, None)

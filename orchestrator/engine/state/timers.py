"""When sessions are due, and whether their timers may fire."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Final

SLACK: Final = 1_024
"""Stale heap entries that are not worth removing."""
REFRESH_MICROS: Final = 50_000
"""How often the end of the events topic is requested at most. Timers may be that late."""


class Timers:
    """A heap of due times, one armed entry per session. A busy session moves its due time with every message, so stale
    entries are skipped when they come up, and removed when they outnumber the armed ones."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, int]] = []
        self._armed: dict[str, tuple[int, int]] = {}
        self._postponed: set[str] = set()

    @property
    def postponed(self) -> int:
        """How many sessions wait although they are due. Any thread may read it."""
        return len(self._postponed)

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, partition: int, correlation_id: str, due: int | None) -> None:
        """Sets when a session is due, Unix time in microseconds; None disarms it."""
        self._postponed.discard(correlation_id)
        if due is None:
            self._armed.pop(correlation_id, None)
        elif self._armed.get(correlation_id) != (due, partition):
            self._armed[correlation_id] = (due, partition)
            heapq.heappush(self._heap, (due, correlation_id, partition))
            if len(self._heap) > 2 * len(self._armed) + SLACK:
                self._remove_stale()

    def postpone(self, correlation_id: str, until: int) -> None:
        """Has an armed session that is due wait until then, or until it is armed again."""
        if (armed := self._armed.get(correlation_id)) is not None:
            self.arm(armed[1], correlation_id, until)
            self._postponed.add(correlation_id)

    def disarm(self, correlation_id: str) -> None:
        self._postponed.discard(correlation_id)
        self._armed.pop(correlation_id, None)

    def next_at(self) -> int | None:
        """The earliest due time; None if no session is armed."""
        while self._heap:
            due, correlation_id, partition = self._heap[0]
            if self._armed.get(correlation_id) == (due, partition):
                return due
            heapq.heappop(self._heap)
        return None

    def due(self, now: int, limit: int) -> list[tuple[int, str, int]]:
        """At most `limit` due sessions, the earliest first: due time, correlation id, partition. They stay armed."""
        found: dict[str, tuple[int, str, int]] = {}
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, correlation_id, partition = entry = heapq.heappop(self._heap)
            if self._armed.get(correlation_id) == (due, partition):
                found[correlation_id] = entry
        for entry in found.values():
            heapq.heappush(self._heap, entry)
        return list(found.values())

    def _remove_stale(self) -> None:
        self._heap = [(due, name, partition) for name, (due, partition) in self._armed.items()]
        heapq.heapify(self._heap)


class Horizon:
    """How far the events topic has been read. A timer fires only once every event that was in the topic at its due
    time has been read, so that replies delayed by an outage win over their timeouts.

    `end_offsets` gives the `read_uncommitted` end offsets of the events topic, by partition.
    """

    def __init__(
        self, end_offsets: Callable[[Iterable[int]], Mapping[int, int]], clock: Callable[[], int]
    ) -> None:
        self._end_offsets = end_offsets
        self._clock = clock
        self._seen: dict[int, tuple[int, int]] = {}
        """By partition: when its end offset was requested last, and the offset."""

    def refresh(self, dues: Mapping[int, int]) -> None:
        """Requests the end offsets of all partitions whose last request is older than their due time, at once."""
        now = self._clock()
        stale = [number for number, due in dues.items() if self._seen.get(number, (-1, 0))[0] < due]
        to_request = [number for number in stale if now - self._seen.get(number, (0, 0))[0] >= REFRESH_MICROS]
        if to_request:
            for number, end in self._end_offsets(to_request).items():
                self._seen[number] = (now, end)

    def reached(self, number: int, due: int, position: int) -> int | None:
        """The time up to which all events have been read by a consumer at `position`; None if that is before `due`."""
        requested_at, end = self._seen.get(number, (-1, 0))
        return requested_at if requested_at >= due and position >= end else None

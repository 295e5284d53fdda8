"""What the orchestrator holds in memory: the live sessions of its partitions, as last committed."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator.messages.catalogue import Topic
from orchestrator.saga import Session, next_due

REMEMBERED_ENDS: Final = 100_000
"""How many ended sessions a partition remembers, so that a second submission of one starts nothing."""

INPUT_TOPICS: Final = (Topic.EVENTS, Topic.CONTROL, Topic.TASKS)


@dataclass(frozen=True)
class LiveSession:
    """A session and what its snapshot still lacks."""

    session: Session
    first_offset: int
    """Where in the sessions topic the first event lies that no snapshot holds; never above the true place."""
    bytes_since_snapshot: int = 0
    snapshot_bytes: int = 0


@dataclass
class Partition:
    """One partition of every session topic, as the orchestrator owns it."""

    number: int
    positions: dict[Topic, int]
    """Next offset to read, of each input topic."""
    sessions_end: int
    """Where the next event will lie in the sessions topic, or before."""
    batch: int = 0
    """Number of the last transaction that wrote for this partition."""
    live: dict[str, LiveSession] = field(default_factory=dict)
    ended: OrderedDict[str, None] = field(default_factory=OrderedDict)
    quarantined: set[str] = field(default_factory=set)
    checkpoint_mark: int = -1
    """The low-water mark as written last; -1 where none was."""
    checkpoint_at: int = 0
    """When it was written, Unix microseconds."""
    active: int = 0
    """Sessions that count for admission: those that people are not waited for."""

    def session(self, correlation_id: str) -> Session | None:
        found = self.live.get(correlation_id)
        return found.session if found else None

    def put(self, live: LiveSession) -> None:
        """Replaces a session's state, or adds it."""
        self.active += _counts(live.session) - self._counted(live.session.correlation_id)
        self.live[live.session.correlation_id] = live

    def drop(self, correlation_id: str) -> None:
        self.active -= self._counted(correlation_id)
        self.live.pop(correlation_id, None)

    def remember_end(self, correlation_id: str) -> None:
        self.drop(correlation_id)
        self.ended[correlation_id] = None
        if len(self.ended) > REMEMBERED_ENDS:
            self.ended.popitem(last=False)

    def low_water_mark(self) -> int:
        """From where on the sessions topic holds something that snapshots lack."""
        return min((live.first_offset for live in self.live.values()), default=self.sessions_end)

    def _counted(self, correlation_id: str) -> int:
        session = self.session(correlation_id)
        return 0 if session is None else _counts(session)


def _counts(session: Session) -> int:
    return 0 if session.parked else 1


class Timers:
    """When sessions are due. One entry a session is armed at a time; stale ones are skipped when they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, int]] = []
        self._armed: dict[str, int] = {}

    def arm(self, partition: int, session: Session) -> None:
        """Notes when the session is due, as it is now."""
        due = next_due(session)
        if due is None:
            self._armed.pop(session.correlation_id, None)
        elif self._armed.get(session.correlation_id) != due:
            self._armed[session.correlation_id] = due
            heapq.heappush(self._heap, (due, session.correlation_id, partition))

    def forget(self, correlation_id: str) -> None:
        self._armed.pop(correlation_id, None)

    def next_at(self) -> int | None:
        """The earliest due time, Unix microseconds."""
        while self._heap:
            due, correlation_id, _ = self._heap[0]
            if self._armed.get(correlation_id) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def due(self, now: int, limit: int) -> Iterator[tuple[str, int, int]]:
        """At most `limit` sessions that are due, with their partition and due time. They stay armed."""
        kept: list[tuple[int, str, int]] = []
        while self._heap and self._heap[0][0] <= now and len(kept) < limit:
            entry = heapq.heappop(self._heap)
            due, correlation_id, partition = entry
            if self._armed.get(correlation_id) == due:
                kept.append(entry)
        for entry in kept:
            heapq.heappush(self._heap, entry)
        for due, correlation_id, partition in kept:
            yield correlation_id, partition, due

"""What the orchestrator holds in memory: the live sessions of its partitions, as last committed."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from orchestrator.engine.state.ended import Ended
from orchestrator.messages.catalogue import Topic, topic_spec
from orchestrator.saga import Session

INPUT_TOPICS: Final = (Topic.EVENTS, Topic.CONTROL, Topic.TASKS)

CHECKPOINT_EVERY_MICROS: Final = 5_000_000
"""How long a partition's positions and low-water mark may lag behind what is in memory."""
MOST_BEHIND: Final = 200_000
"""Records that the low-water mark may lie behind the end of sessions: restoring reads them, 15 s or so."""
MOST_AGE_MICROS: Final = (topic_spec(Topic.SESSIONS).retention_ms or 0) * 1_000 // 4
"""How old the first event may be that no snapshot holds: a quarter of the time after which it is deleted."""


class LiveSession(msgspec.Struct, frozen=True, gc=False):
    """A session and what its snapshot still lacks."""

    session: Session
    first_offset: int
    """Where in the sessions topic the first event lies that no snapshot holds; never above the true place."""
    first_at: int
    """When that was written, Unix microseconds."""
    bytes_since_snapshot: int = 0
    snapshot_bytes: int = 0
    """Size of its snapshot; 0 where there is none."""

    @property
    def lacks(self) -> bool:
        """Whether events are needed to restore it."""
        return self.bytes_since_snapshot > 0 or not self.snapshot_bytes

    def followed(self, session: Session, offset: int, at: int, size: int) -> "LiveSession":
        """The session after more events of `size` bytes, the first of which lies at `offset` or behind."""
        if self.lacks:
            total = self.bytes_since_snapshot + size
            return msgspec.structs.replace(self, session=session, bytes_since_snapshot=total)
        return LiveSession(session, offset, at, size, self.snapshot_bytes)


class Damaged(msgspec.Struct, frozen=True):
    """A session whose history does not hold."""

    sequence: int
    """The last of its events that does."""
    reason: str
    session: Session | None = None


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
    ended: Ended = field(default_factory=Ended)
    quarantined: set[str] = field(default_factory=set)
    damaged: dict[str, Damaged] = field(default_factory=dict)
    """Found while restoring, and not written down yet."""
    checkpoint_mark: int = -1
    """The low-water mark as written last; -1 where none was."""
    unsettled: bool = False
    """Whether something is in memory that the next upkeep has to write down."""
    active: int = 0
    """Sessions that count for admission: those that people are not waited for."""
    _checkpoint_at: int = 0

    def session(self, correlation_id: str) -> Session | None:
        found = self.live.get(correlation_id)
        return found.session if found else None

    def is_over(self, correlation_id: str) -> bool:
        """Whether nothing that is told to this session has any effect."""
        return (
            correlation_id in self.quarantined
            or correlation_id in self.damaged
            or (correlation_id not in self.live and correlation_id in self.ended)
        )

    def put(self, live: LiveSession) -> None:
        """Replaces a session's state, or adds it."""
        self.active += _counts(live.session) - self._counted(live.session.correlation_id)
        self.live[live.session.correlation_id] = live

    def drop(self, correlation_id: str) -> None:
        self.active -= self._counted(correlation_id)
        self.live.pop(correlation_id, None)

    def end(self, correlation_id: str, at: int) -> None:
        self.drop(correlation_id)
        self.ended.add(correlation_id, at)

    def quarantine(self, correlation_id: str) -> None:
        self.drop(correlation_id)
        self.damaged.pop(correlation_id, None)
        self.quarantined.add(correlation_id)

    def wants_checkpoint(self, now: int) -> bool:
        """Asked for as often as wanted, it looks every few seconds."""
        if now < self._checkpoint_at:
            return False
        self._checkpoint_at = now + CHECKPOINT_EVERY_MICROS
        return self.unsettled or bool(self.damaged) or bool(self.stale_sessions(self.sessions_end, now))

    def stale_sessions(self, end: int, now: int) -> list[LiveSession]:
        """Sessions that keep the low-water mark too far behind the end of sessions, or in the past."""
        lowest, oldest = end - MOST_BEHIND, now - MOST_AGE_MICROS
        return [
            live
            for live in self.live.values()
            if (live.first_offset < lowest or live.first_at < oldest) and live.lacks
        ]

    def _counted(self, correlation_id: str) -> int:
        session = self.session(correlation_id)
        return 0 if session is None else _counts(session)


def _counts(session: Session) -> int:
    return 0 if session.parked or session.task is None else 1

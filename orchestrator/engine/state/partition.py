"""A partition in memory: its live and ended sessions and its positions, as last committed."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from orchestrator.engine.state.ended import Ended
from orchestrator.messages.catalogue import Topic, topic_spec
from orchestrator.messages.identity import claim_of
from orchestrator.saga import Session

INPUT_TOPICS: Final = (Topic.EVENTS, Topic.CONTROL, Topic.TASKS)

MOST_AWAITED: Final = 10_000
"""Sessions of a partition that may wait for their tasks, some 30 MB. Whoever writes requests may make ids up."""
PLACE_BYTES: Final = 65_536
"""Bytes of a task's record for which its session takes another place."""
CHECKPOINT_EVERY_MICROS: Final = 5_000_000
"""How long a partition's committed positions and low-water mark may lag behind its state in memory."""
MAX_MARK_LAG: Final = 200_000
"""Records that the low-water mark may lag behind the end of the sessions topic. A restore reads them, about 15 s."""
MAX_AGE_MICROS: Final = (topic_spec(Topic.SESSIONS).retention_ms or 0) * 1_000 // 4
"""How old the first event without a snapshot may be: a quarter of the retention of the sessions topic."""


class LiveSession(msgspec.Struct, frozen=True, gc=False):
    """A session, and the part of its history that no snapshot holds."""

    session: Session
    first_offset: int
    """Offset of the first event that no snapshot holds, or a lower offset."""
    first_at: int
    """When that event was written, Unix time in microseconds."""
    bytes_since_snapshot: int = 0
    snapshot_bytes: int = 0
    """Size of its last snapshot; 0 without one."""

    @property
    def needs_history(self) -> bool:
        """Whether restoring it takes events beyond its snapshot."""
        return self.bytes_since_snapshot > 0 or not self.snapshot_bytes

    def advanced(self, session: Session, offset: int, at: int, size: int) -> "LiveSession":
        """The session after further events of `size` bytes, the first of them at `offset` or later."""
        if self.needs_history:
            total = self.bytes_since_snapshot + size
            return msgspec.structs.replace(self, session=session, bytes_since_snapshot=total)
        return LiveSession(session, offset, at, size, self.snapshot_bytes)


class Damaged(msgspec.Struct, frozen=True):
    """A session whose history or snapshot is broken."""

    sequence: int
    """The last sound event."""
    reason: str
    session: Session | None = None


@dataclass
class Partition:
    """One partition number of all session topics, owned by this orchestrator."""

    number: int
    positions: dict[Topic, int]
    """Next offset to read, by input topic."""
    sessions_end: int
    """Offset of the next event in the sessions topic, or a lower offset."""
    batch: int = 0
    """Number of the last transaction that wrote for this partition."""
    live: dict[str, LiveSession] = field(default_factory=dict)
    keyed: dict[bytes, str] = field(default_factory=dict)
    """Live sessions that have a business key, by claim."""
    ended: Ended = field(default_factory=Ended)
    quarantined: set[str] = field(default_factory=set)
    damaged: dict[str, Damaged] = field(default_factory=dict)
    """Found by the restore; the next checkpoint quarantines them."""
    checkpoint_mark: int = -1
    """The low-water mark of the last checkpoint; -1 without one."""
    dirty: bool = False
    """Whether the state in memory has changed since the last checkpoint."""
    active: int = 0
    """Sessions under way. Escalated sessions, which wait for a person, do not count."""
    places: int = 0
    """What they take of the admission limit: sessions of large tasks take several places."""
    awaited: int = 0
    """Sessions that a cancel opened before their task has come."""
    awaiting_store: set[Topic] = field(default_factory=set, compare=False)
    """Input topics whose next record needs the value store, which is away."""
    _checkpoint_at: int = 0

    def session(self, correlation_id: str) -> Session | None:
        found = self.live.get(correlation_id)
        return found.session if found else None

    def is_broken(self, correlation_id: str) -> bool:
        """Whether inputs of this session have no effect, because it is damaged or quarantined."""
        return correlation_id in self.quarantined or correlation_id in self.damaged

    def put(self, live: LiveSession) -> None:
        """Replaces a session's state, or adds it."""
        session, before = live.session, self.session(live.session.correlation_id)
        self._count(session, 1)
        self._count(before, -1)
        self.awaited += _is_awaited(session) - _is_awaited(before)
        self.live[session.correlation_id] = live
        if session.task is not None and session.task.key and (before is None or before.task is None):
            self.keyed[claim_of(session.tenant, session.task.key)] = session.correlation_id

    def drop(self, correlation_id: str) -> None:
        """Removes a live session, if it is one."""
        session = self.session(correlation_id)
        if session is None:
            return
        self._count(session, -1)
        self.awaited -= _is_awaited(session)
        del self.live[correlation_id]
        if session.task is not None and session.task.key:
            self.keyed.pop(claim_of(session.tenant, session.task.key), None)

    def _count(self, session: Session | None, times: int) -> None:
        if session is None or session.parked or session.task is None:
            return
        self.active += times
        self.places += times * (1 + len(session.task.submitted.value or b"") // PLACE_BYTES)

    def end(self, correlation_id: str, claim: bytes | None, at: int) -> None:
        """Remembers a session that ended at `at` (Unix, microseconds), and whose it was."""
        self.drop(correlation_id)
        self.ended.add(correlation_id, claim, at)

    def quarantine(self, correlation_id: str, at: int) -> None:
        """Closes a session for good at `at` (Unix, microseconds). Its business key stays taken as if it had ended."""
        damaged = self.damaged.pop(correlation_id, None)
        session = damaged.session if damaged else self.session(correlation_id)
        claim = claim_of_session(session) if session else None
        if claim is not None and correlation_id not in self.ended:
            self.ended.add(correlation_id, claim, at)
        self.drop(correlation_id)
        self.quarantined.add(correlation_id)

    def is_checkpoint_due(self, now: int) -> bool:
        """Whether to write a checkpoint now. True at most once in `CHECKPOINT_EVERY_MICROS`."""
        if now < self._checkpoint_at:
            return False
        self._checkpoint_at = now + CHECKPOINT_EVERY_MICROS
        return self.dirty or bool(self.damaged) or bool(self.stale_sessions(self.sessions_end, now))

    def stale_sessions(self, end: int, now: int) -> list[LiveSession]:
        """Sessions without a recent snapshot, which hold the low-water mark back: by offset, or by age.

        `end` is the end offset of the sessions topic."""
        lowest, oldest = end - MAX_MARK_LAG, now - MAX_AGE_MICROS
        return [
            live
            for live in self.live.values()
            if (live.first_offset < lowest or live.first_at < oldest) and live.needs_history
        ]


def claim_of_session(session: Session) -> bytes | None:
    """Whose it is; None for a session without a task, which nobody's key leads to."""
    return None if session.task is None else claim_of(session.tenant, session.task.key)


def _is_awaited(session: Session | None) -> bool:
    return session is not None and session.task is None

"""Replays the history of a partition into its sessions: folds events, and finds gaps and repetitions."""

from orchestrator.engine.state.partition import Damaged, LiveSession, Partition, claim_of_session
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.events import RequestRefused
from orchestrator.saga import ENDING, Session, evolve


class Replay:
    """Folds events of a partition, in the order of their offsets, into its sessions.

    It may begin in the middle of a history. A session whose first event was not read has a snapshot, or ended
    before the low-water mark was written, or is damaged; which one is known at the end of the history.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._seen: dict[str, int] = {}
        """The sequence of the last event that was read, by session that has not ended."""
        self._truncated: dict[str, str] = {}
        """Sessions whose first events are missing, with the reason for which they are damaged unless they end."""
        self.claims: dict[str, bytes] = {}
        """Whose sessions with a deleted snapshot are: they ended, and their first events are not read."""

    def add(self, event: SessionEvent, offset: int, size: int) -> None:
        """Adds one event; `size` is the bytes of its record."""
        partition, name = self._partition, event.correlation_id
        if name in partition.quarantined or name in partition.damaged:
            return
        seen = self._seen.get(name)
        live = partition.live.get(name)
        known = live.session.sequence if live else 0
        if seen is not None and event.sequence != seen + 1 and name not in self._truncated:
            self.damage(name, f"event {event.sequence} follows event {seen}, at offset {offset}")
            return
        # The refusal of a request that came without a task ends a session whose first events were not read.
        if isinstance(event, ENDING) or (isinstance(event, RequestRefused) and live is None):
            self._end(event, known)
            return
        self._seen[name] = event.sequence
        if event.sequence <= known:
            return
        if event.sequence != known + 1:
            self._truncated.setdefault(name, f"event {event.sequence} follows event {known}")
        elif name not in self._truncated:
            self._fold(event, live, offset, size)

    def damage(self, correlation_id: str, reason: str) -> None:
        """Marks a session as damaged, unless it has ended: the history of an ended session is not needed."""
        partition = self._partition
        session = partition.session(correlation_id)
        if session is None and correlation_id not in self._seen:
            return
        partition.drop(correlation_id)
        partition.damaged[correlation_id] = Damaged(session.sequence if session else 0, reason, session)

    def finish(self) -> None:
        """Marks the truncated sessions that have not ended as damaged: part of their history is missing."""
        for name, reason in self._truncated.items():
            self.damage(name, reason)

    def _end(self, event: SessionEvent, known: int) -> None:
        name = event.correlation_id
        truncated = self._truncated.pop(name, None) is not None
        self._seen.pop(name, None)
        if name in self._partition.ended and known == 0:
            return
        if event.sequence != known + 1 and known and not truncated:
            self.damage(name, f"event {event.sequence}, its last, follows event {known}")
            return
        live = self._partition.session(name)
        claim = claim_of_session(live) if live else self.claims.get(name)
        self._partition.end(name, claim, event.occurred_at)

    def _fold(self, event: SessionEvent, live: LiveSession | None, offset: int, size: int) -> None:
        before: Session | None = live.session if live else None
        try:
            session = evolve(before, event)
        except Exception as error:  # noqa: BLE001 - a session that cannot be restored must not stop the others
            reason = f"event {event.sequence} at offset {offset} cannot be applied: {type(error).__name__}: {error}"
            self.damage(event.correlation_id, reason)
            return
        if session.ended:
            self._seen.pop(event.correlation_id, None)
            self._partition.end(event.correlation_id, claim_of_session(session), event.occurred_at)
        elif live is None:
            self._partition.put(LiveSession(session, offset, event.occurred_at, size))
        else:
            self._partition.put(live.advanced(session, offset, event.occurred_at, size))

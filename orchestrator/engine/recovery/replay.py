"""From the history of record to the sessions of a partition: events are folded, gaps and repetitions found."""

from orchestrator.engine.state.partition import Damaged, LiveSession, Partition
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.events import RequestRefused
from orchestrator.saga import ENDING, Session, evolve


class Replay:
    """Folds events of a partition, in the order of their offsets, into its sessions.

    It may begin in the middle: a session that is seen without its beginning has a snapshot, or has ended
    before the place where reading begins was written down, or is damaged. Which one shows at the end.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._seen: dict[str, int] = {}
        """The last event read of each session that has not ended."""
        self._headless: dict[str, str] = {}
        """Sessions whose beginning is not there, with what is wrong if they do not end."""

    def take(self, event: SessionEvent, offset: int, size: int) -> None:
        """One event, and the bytes of its record."""
        partition, name = self._partition, event.correlation_id
        if name in partition.quarantined or name in partition.damaged:
            return
        seen = self._seen.get(name)
        live = partition.live.get(name)
        known = live.session.sequence if live else 0
        if seen is not None and event.sequence != seen + 1 and name not in self._headless:
            self.damage(name, f"after event {seen} comes event {event.sequence}, at offset {offset}")
            return
        # A request without its task ends with its refusal; one that is seen without its beginning has.
        if isinstance(event, ENDING) or (isinstance(event, RequestRefused) and live is None):
            self._end(event, known)
            return
        self._seen[name] = event.sequence
        if event.sequence <= known:
            return
        if event.sequence != known + 1:
            self._headless.setdefault(name, f"after event {known} comes event {event.sequence}")
        elif name not in self._headless:
            self._fold(event, live, offset, size)

    def damage(self, correlation_id: str, reason: str) -> None:
        """What is wrong with a session, unless it has ended: then nobody needs its history to go on."""
        partition = self._partition
        session = partition.session(correlation_id)
        if session is None and correlation_id not in self._seen:
            return
        partition.drop(correlation_id)
        partition.damaged[correlation_id] = Damaged(session.sequence if session else 0, reason, session)

    def finish(self) -> None:
        """A session that began before the place where reading began has ended since, or something is missing."""
        for name, reason in self._headless.items():
            self.damage(name, reason)

    def _end(self, event: SessionEvent, known: int) -> None:
        name = event.correlation_id
        headless = self._headless.pop(name, None) is not None
        self._seen.pop(name, None)
        if name in self._partition.ended and known == 0:
            return
        if event.sequence != known + 1 and known and not headless:
            self.damage(name, f"after event {known} comes event {event.sequence}, its last")
            return
        self._partition.end(name, event.occurred_at)

    def _fold(self, event: SessionEvent, live: LiveSession | None, offset: int, size: int) -> None:
        before: Session | None = live.session if live else None
        try:
            session = evolve(before, event)
        except Exception as error:  # noqa: BLE001 - one session that cannot be restored must not stop the others
            reason = f"event {event.sequence} at offset {offset} cannot be applied: {type(error).__name__}: {error}"
            self.damage(event.correlation_id, reason)
            return
        if session.ended:
            self._seen.pop(event.correlation_id, None)
            self._partition.end(event.correlation_id, event.occurred_at)
        elif live is None:
            self._partition.put(LiveSession(session, offset, event.occurred_at, size))
        else:
            self._partition.put(live.followed(session, offset, event.occurred_at, size))

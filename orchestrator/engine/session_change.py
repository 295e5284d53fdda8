"""What a staged batch makes of one session, and how it goes live."""

from dataclasses import dataclass

from orchestrator.engine.state.partition import LiveSession, Partition, claim_of_session
from orchestrator.engine.state.timers import Timers
from orchestrator.saga import Session, next_due


@dataclass
class SessionChange:
    """A session that the batch changed. `partition` and its live sessions stay as they are until `promote`."""

    partition: Partition
    session: Session
    event_bytes: int = 0
    """Bytes of the events that the batch writes for it."""
    snapshot_bytes: int = 0
    """Bytes of the snapshot that the batch writes of it; 0 for none."""

    @property
    def before(self) -> LiveSession | None:
        return self.partition.live.get(self.session.correlation_id)

    def after(self, now: int) -> LiveSession:
        """The live session with the batch's events, as if the batch wrote no snapshot of it."""
        offset = self.partition.sessions_end
        if (live := self.before) is None:
            return LiveSession(self.session, offset, now, self.event_bytes)
        return live.advanced(self.session, offset, now, self.event_bytes)

    def promote(self, end: int, now: int, timers: Timers) -> None:
        """Makes the change live. `end` is the end offset of the sessions topic after the batch."""
        partition, name = self.partition, self.session.correlation_id
        timers.arm(partition.number, name, next_due(self.session))
        if self.session.ended:
            partition.end(name, claim_of_session(self.session), now)
        elif self.snapshot_bytes:
            partition.put(LiveSession(self.session, end, now, 0, self.snapshot_bytes))
        else:
            partition.put(self.after(now))

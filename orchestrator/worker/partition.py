"""A partition that this worker owns: its offsets, its commit, and what its work may still do."""

from orchestrator.bus.ports import Commit, Position
from orchestrator.worker.offsets import OffsetTracker


class OwnedPartition:
    """A partition from its assignment until it is revoked, lost or reset.

    Each work refers to the one it was read for, so work that outlives its partition is recognised. The tracker
    and the count belong to the consumer's thread; that thread also writes the two flags, which any thread reads.
    """

    __slots__ = (
        "committed",
        "in_flight",
        "is_held",
        "may_send",
        "may_start",
        "paused",
        "position",
        "slowed_until",
        "tracker",
    )

    def __init__(self, position: Position, committed: Commit | None) -> None:
        """Raises `DamagedSet` for a commit with a damaged set of offsets, and `NewerSet` for one of a newer release."""
        self.position = position
        self.tracker = OffsetTracker(committed)
        self.committed = committed
        self.in_flight = 0
        """Dispatched work that is neither completed nor abandoned, without at-most-once work."""
        self.paused = True
        """Whether the client has it paused. True at first: the client may remember a pause from before."""
        self.may_start = True
        """Whether its work may still start."""
        self.may_send = True
        """Whether the outputs of its work may still be sent."""
        self.slowed_until = 0.0
        """Not read before, by the monotonic clock: its dead letters exceed their cap. The event loop writes it."""
        self.is_held = False
        """Neither read nor committed: what its commit says is of a newer release."""

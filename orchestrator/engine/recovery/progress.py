"""What a restore has come to."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Figures of one restore, for logs and metrics."""

    partition: int
    snapshots: int = 0
    events: int = 0
    live: int = 0
    damaged: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"partition {self.partition} in {self.seconds:.1f} s: {self.live} live sessions from {self.snapshots} "
            f"snapshots and {self.events} events"
        )

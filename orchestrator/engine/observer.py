"""What the loop reports about its transactions, for traces, metrics and logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.ports import Outgoing, Received
from orchestrator.messages.base import Message


@dataclass(frozen=True, slots=True)
class Transaction:
    """A committed transaction."""

    messages: Sequence[Message]
    """The messages it wrote, in order, without snapshots, checkpoints and forwarded records."""
    records: Sequence[Outgoing]
    """All records it wrote."""
    inputs: int
    """How many records and timers it handled."""
    seconds: float
    """From its beginning until its outcome was known."""


class LoopObserver:
    """Called by the orchestrator's loop, on its thread, once per batch. This one ignores everything."""

    def received(self, batch: Sequence[Received]) -> None:
        """Records were read."""

    def dropped(self, reasons: Mapping[str, int]) -> None:
        """Inputs of a batch changed nothing: how many, by reason."""

    def committed(self, transaction: Transaction) -> None:
        """A transaction was committed and its sessions are live."""

    def failed(self, outcome: str) -> None:
        """A transaction was not committed: `ABORTED`, or `RESTORED` if only a restore could find its outcome."""

    def owns(self, active: Mapping[int, int]) -> None:
        """The partitions that the slot owns now, with the number of active sessions in each."""


ABORTED: Final = "aborted"
RESTORED: Final = "restored"

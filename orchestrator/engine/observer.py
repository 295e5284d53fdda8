"""What the loop reports of its transactions, for traces, metrics and logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.ports import Outgoing, Received
from orchestrator.messages.base import Message


@dataclass(frozen=True, slots=True)
class Transaction:
    """One that is committed."""

    messages: Sequence[Message]
    """What it wrote, in order, but for what is kept beside history: snapshots, forwarded records."""
    records: Sequence[Outgoing]
    """All of what it wrote."""
    inputs: int
    """How many records and times it took in."""
    seconds: float
    """From its beginning until its outcome was known."""


class LoopObserver:
    """Told by the orchestrator's loop, on its thread, once for a batch. This one does not listen."""

    def received(self, batch: Sequence[Received]) -> None:
        """Records were read."""

    def dropped(self, reasons: Mapping[str, int]) -> None:
        """So many inputs of a batch changed nothing."""

    def committed(self, transaction: Transaction) -> None:
        """A transaction is committed, and its sessions are live."""

    def failed(self, outcome: str) -> None:
        """A transaction is not committed: `ABORTED`, or `RESTORED` where only a restore could tell."""

    def owns(self, active: Mapping[int, int]) -> None:
        """The partitions of the slot now, with how many sessions are under way in each."""


ABORTED: Final = "aborted"
RESTORED: Final = "restored"

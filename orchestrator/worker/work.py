"""One record on its way through a worker."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.bus.ports import Received
from orchestrator.messages.base import Message
from orchestrator.messages.types import Failure, Usage
from orchestrator.worker.partition import OwnedPartition

if TYPE_CHECKING:
    from asyncio import Task


class Work:
    """A record to handle, and its outcome so far."""

    __slots__ = (
        "at_most_once",
        "dead_letters",
        "failure",
        "is_voided",
        "key",
        "message",
        "outputs",
        "partition",
        "received",
        "stage",
        "task",
        "used",
    )

    def __init__(
        self,
        partition: OwnedPartition,
        received: Received,
        message: Message | None,
        failure: Failure | None = None,
        stage: str = "",
    ) -> None:
        self.partition = partition
        self.received = received
        self.message = message
        self.failure = failure
        """Why it is dead-lettered instead of handled; `stage` is the dead letter's."""
        self.stage = stage
        self.at_most_once = False
        """Its offset is committed before it starts: no other worker runs it, so it continues after a revocation."""
        self.key: bytes | None = None
        """Work of one key is handled in order; None in an unordered service."""
        self.outputs: Sequence[Message] = ()
        """What its handler returned."""
        self.is_voided = False
        self.dead_letters = 0
        """Dead letters made for it so far."""
        self.task: Task[None] | None = None
        self.used: Callable[[], Usage] = Usage
        """What its handler has used so far."""

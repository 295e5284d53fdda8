"""One record on its way through a worker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.bus.ports import Received
from orchestrator.messages.base import Message
from orchestrator.messages.types import Failure
from orchestrator.worker.partition import OwnedPartition

if TYPE_CHECKING:
    from asyncio import Task

    from orchestrator.sdk.service_context import ServiceContext


class Work:
    """A record to handle, and its outcome so far."""

    __slots__ = (
        "at_most_once",
        "context",
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
        self.context: ServiceContext | None = None
        """Its handler's; None before it runs."""

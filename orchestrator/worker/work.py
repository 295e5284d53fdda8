"""What a worker's two threads hand each other: messages to handle, and what became of them."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from orchestrator.bus.ports import Commit, Position, Received
from orchestrator.messages.base import Message
from orchestrator.messages.types import Failure
from orchestrator.worker.offsets import OffsetTracker

if TYPE_CHECKING:
    from asyncio import Task

_DONE: Final = True
_LEFT: Final = False


class OwnedPartition:
    """One ownership of one partition. Work carries it: work of an ownership that has ended is stale.

    The tracker and the counts are the owner thread's; the two flags are written by it and read by all.
    """

    __slots__ = ("committed", "is_over", "open", "paused", "position", "starts", "tracker")

    def __init__(self, position: Position, committed: Commit | None) -> None:
        self.position = position
        self.tracker = OffsetTracker(committed)
        self.committed = committed
        self.open = 0
        """Work handed out of which nothing was heard yet, but for what runs at most once."""
        self.paused = True
        """Whether it is paused in the client; at first as if, since a client may remember it from before."""
        self.starts = True
        """Whether its work may still be started."""
        self.is_over = False
        """Whether what its work writes is no longer sent."""


class Work:
    """One record to be handled."""

    __slots__ = (
        "failure",
        "is_void",
        "key",
        "letters",
        "message",
        "once",
        "outputs",
        "ownership",
        "received",
        "stage",
        "task",
    )

    def __init__(
        self,
        ownership: OwnedPartition,
        received: Received,
        message: Message | None,
        failure: Failure | None = None,
        stage: str = "",
    ) -> None:
        self.ownership = ownership
        self.received = received
        self.message = message
        self.failure = failure
        """Why it is a dead letter and not handled, and at which stage that showed."""
        self.stage = stage
        self.once = False
        """Committed as done before it starts: nobody runs it again, so its end is awaited whoever owns it."""
        self.key: bytes | None = None
        """What it is kept in order by."""
        self.outputs: Sequence[Message] = ()
        """What its handler returned."""
        self.is_void = False
        self.letters = 0
        """Dead letters that were written for it."""
        self.task: Task[None] | None = None


class Reports:
    """What became of work, told by any thread, taken in by the owner.

    Work *ends* when its handler has returned, and is *done* when what it wrote is acknowledged by Kafka. It
    is *left* when it will not be done here: its offset stays incomplete.
    """

    def __init__(self) -> None:
        self.ended = 0
        """How much work has ended; counted by the event loop alone."""
        self._told: deque[tuple[Work, bool]] = deque()
        self._news = threading.Event()
        self._awaited = False

    def end(self) -> None:
        self.ended += 1
        self._wake()

    def done(self, work: Work) -> None:
        self._told.append((work, _DONE))
        self._wake()

    def left(self, work: Work) -> None:
        self._told.append((work, _LEFT))
        self._wake()

    def take_in(self) -> bool:
        """Completes the offsets of what is done; whether there was any report."""
        told = self._told
        if not told:
            return False
        while told:
            work, is_done = told.popleft()
            if not work.once:
                work.ownership.open -= 1
            if is_done:
                work.ownership.tracker.complete(work.received.offset)
        return True

    def expect(self) -> None:
        """From here on news wakes `wait`; look at the state once more between the two."""
        self._news.clear()
        self._awaited = True

    def wait(self, timeout_s: float) -> None:
        """Returns at the first news after `expect`, or when the time has passed."""
        self._news.wait(timeout_s)
        self._awaited = False

    def _wake(self) -> None:
        # Setting an event costs more than all else here, and the owner mostly waits for Kafka instead.
        if self._awaited:
            self._awaited = False
            self._news.set()

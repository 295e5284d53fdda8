"""One thread that reads the partitions of the followed sessions, and no others.

It sleeps while nothing is followed. A partition is read once however many of its sessions are followed. A
subscription that starts at an earlier offset makes the thread seek back; the others skip what they have seen.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar
from weakref import WeakSet

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.polling import by_time, poll_many
from orchestrator.bus.ports import Bus, Consumer, Position, Received
from orchestrator.bus.standalone import STANDALONE
from orchestrator.client.subscriptions import Mark, Subscription
from orchestrator.errors import ContractError, OrchestratorError
from orchestrator.messages.base import Event

_POLL_S: Final = 0.05
"""How long a new subscription may wait for the consumer, which waits for records meanwhile."""
_BATCH: Final = 500

T = TypeVar("T")
logger: Final = logging.getLogger(__name__)


class Follower:
    """Any thread may call it. Subscriptions are held weakly: dropping one ends it."""

    def __init__(self, bus: Bus, codec: Codec, timeout_s: float) -> None:
        self._bus = bus
        self._codec = codec
        self._timeout_s = timeout_s
        self._requests: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        # Only the thread uses the fields below.
        self._consumer: Consumer | None = None
        self._followed: WeakSet[Subscription] = WeakSet()
        self._at: dict[Position, int] = {}
        self._catching_up: list[tuple[Subscription, dict[Position, int]]] = []

    def ends(self, positions: Iterable[Position]) -> "Future[dict[Position, int]]":
        """The current end offsets of these partitions."""
        wanted = list(positions)
        return self._ask(lambda: self._ends(wanted))

    def follow(self, subscription: Subscription) -> None:
        """Gives the subscription its session's events: all written after this call and, unless it is fresh, those
        from its start offsets on."""
        self._ask(lambda: self._follow(subscription), subscription)

    def catch_up(self, subscription: Subscription) -> None:
        """Gives the subscription `Mark.CAUGHT_UP` after everything that its partitions hold now."""
        self._ask(lambda: self._catch_up(subscription), subscription)

    def close(self) -> None:
        """Ends the thread and waits for it."""
        self._requests.put(None)
        if self._thread is not None:
            self._thread.join()

    def _ask(self, work: Callable[[], T], subscription: Subscription | None = None) -> "Future[T]":
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - the caller waits for the future
                future.set_exception(error)
                if subscription is not None:
                    subscription.give(_explained(error))

        if self._thread is None:
            self._thread = Thread(target=self._run, name="orchestrator-client", daemon=True)
            self._thread.start()
        self._requests.put(run)
        return future

    def _run(self) -> None:
        try:
            while self._serve():
                try:
                    assigned = self._at
                    batch = self._read() if assigned else []
                    # Requests are served between reading and giving, so that a subscription made before a record
                    # was written gets it.
                    if not self._serve_waiting():
                        return
                    # After seeking back, the batch is read again, after the records before it.
                    if self._at is assigned:
                        self._give(batch)
                except Exception as error:  # noqa: BLE001 - no subscription may wait forever
                    self._fail(_explained(error))
        finally:
            self._close_consumer()

    def _serve(self) -> bool:
        """Serves requests; waits for one while nothing is followed. False once closed."""
        if not self._at:
            request = self._requests.get()
            if request is None:
                return False
            request()
        return self._serve_waiting()

    def _serve_waiting(self) -> bool:
        while True:
            try:
                request = self._requests.get_nowait()
            except Empty:
                return True
            if request is None:
                return False
            request()

    def _opened(self) -> Consumer:
        if self._consumer is None:
            self._consumer = self._bus.consumer(STANDALONE)
        return self._consumer

    def _ends(self, positions: Iterable[Position]) -> dict[Position, int]:
        marks = self._opened().watermarks(positions, Deadline.after(self._timeout_s))
        return {position: end for position, (_, end) in marks.items()}

    def _follow(self, subscription: Subscription) -> None:
        places = {
            place: max(start, self._at.get(place, start)) if subscription.fresh else start
            for place, start in subscription.next.items()
        }
        subscription.next = places
        wanted = {place: min(start, self._at.get(place, start)) for place, start in places.items()}
        if any(self._at.get(place) != start for place, start in wanted.items()):
            live = self._live()
            self._assign({place: at for place, at in self._at.items() if place in live} | wanted)
        self._followed.add(subscription)

    def _catch_up(self, subscription: Subscription) -> None:
        marks = self._opened().watermarks(subscription.next, Deadline.after(self._timeout_s))
        # A partition without records to read has no position to compare with its end.
        left = {
            place: end for place, (begin, end) in marks.items() if end > max(begin, subscription.next[place])
        }
        self._catching_up.append((subscription, left))

    def _live(self) -> set[Position]:
        return {place for subscription in self._followed for place in subscription.next}

    def _assign(self, offsets: dict[Position, int]) -> None:
        self._opened().assign(offsets)
        self._at = offsets

    def _read(self) -> list[Received]:
        if not self._live():
            self._assign({})
            return []
        return poll_many(self._opened(), _BATCH, _POLL_S)

    def _give(self, batch: list[Received]) -> None:
        followed: dict[bytes, list[Subscription]] = {}
        for subscription in self._followed:
            followed.setdefault(subscription.key, []).append(subscription)
        self._codec.ask(received for received in batch if received.key in followed)
        for received in by_time(batch):
            place = (received.topic, received.partition)
            waiting = [
                subscription
                for subscription in followed.get(received.key or b"", ())
                if received.offset >= subscription.next.get(place, received.offset + 1)
            ]
            if waiting:
                self._give_to(waiting, received)
            self._at[place] = received.offset + 1
        self._mark_caught_up()

    def _give_to(self, waiting: Iterable[Subscription], received: Received) -> None:
        try:
            message = self._codec.decode(received)
        except (ContractError, SchemaUnresolved) as error:
            # The platform dead-letters it; subscriptions continue with what can be read.
            logger.warning("a record of a followed session cannot be read and was skipped: %s", error)
            message = None
        for subscription in waiting:
            subscription.next[received.topic, received.partition] = received.offset + 1
            if isinstance(message, Event):
                subscription.give(message)

    def _mark_caught_up(self) -> None:
        if not self._catching_up:
            return
        reached = self._opened().position(self._at)
        still = []
        for subscription, ends in self._catching_up:
            # Transaction markers take offsets too: the consumer's position counts, not the last record.
            left = {place: end for place, end in ends.items() if reached.get(place, 0) < end}
            if left:
                still.append((subscription, left))
            else:
                subscription.give(Mark.CAUGHT_UP)
        self._catching_up = still

    def _fail(self, error: OrchestratorError) -> None:
        """Ends all subscriptions with the error; the next one starts with a new consumer."""
        for subscription in self._followed:
            subscription.give(error)
        self._followed = WeakSet()
        self._catching_up = []
        self._at = {}
        self._close_consumer()

    def _close_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _explained(error: Exception) -> OrchestratorError:
    if isinstance(error, OrchestratorError):
        return error
    logger.error("following sessions failed", exc_info=error)
    return OrchestratorError(f"following sessions failed: {error!r}")

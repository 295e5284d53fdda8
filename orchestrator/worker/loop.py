"""The worker loop: one thread owns the consumer, the handlers run on the host's event loop.

1. Poll as many records as there is room for.
2. Dispatch those that the service handles; complete the offsets of the others.
3. Commit at-most-once work, and only then start it.
4. Commit completed offsets: at intervals under load, and as soon as no more records come.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Reading, Received, Start
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.sdk.containment import as_exception
from orchestrator.sdk.failures import described
from orchestrator.sdk.service import Service
from orchestrator.worker.announcer import Announcer
from orchestrator.worker.assignment import Assignment
from orchestrator.worker.completions import CompletionQueue
from orchestrator.worker.dispatch import Dispatcher
from orchestrator.worker.host import Host
from orchestrator.worker.incoming import Incoming
from orchestrator.worker.observer import MEASURE_INTERVAL_S
from orchestrator.worker.polling import Poller
from orchestrator.worker.undecoded import UndecodedRecords
from orchestrator.worker.work import Work

logger: Final = logging.getLogger(__name__)

_MAX_UNACKNOWLEDGED: Final = 1_000
"""Messages beyond the capacity whose outputs may await acknowledgement at a time."""
_ORDERED_CAPACITY: Final = 3
"""An ordered service takes in this many times its concurrency, so that one busy key leaves room for others."""
_WATERMARKS_TIMEOUT_S: Final = 0.5
_LEAVE_S: Final = 5.0
"""How long committing and leaving may take beyond the deadline: the client has no timeout for a commit."""


@dataclass(frozen=True)
class WorkerSettings:
    """Times of a worker, in seconds."""

    poll_timeout_s: float = 0.1
    """Longest wait for a record. Handlers do not wait for it."""
    commit_interval_s: float = 0.5
    """Between two commits under load. Work completed since the last commit runs again after a crash."""
    pause_after_s: float = 1.0
    """After this long without room, all partitions are paused so that the worker can poll again."""
    revoke_timeout_s: float = 2.0
    """Deadline of a revocation; running handlers get half of it to finish."""


class Worker:
    """Runs one service in this process. Copies of it, here or elsewhere, share its partitions.

    The worker's thread owns the consumer; handlers run on the host's event loop, which all workers share.
    """

    def __init__(self, service: Service, host: Host, settings: WorkerSettings | None = None) -> None:
        self.service = service
        self.failure: Exception | None = None
        """Why the worker failed. Nothing is lost: another worker for the service may be started."""
        self._host = host
        self._settings = settings or WorkerSettings()
        self._handling = host.handling(service)
        self._announcer = Announcer(service, host, self._handling)
        self._completions = CompletionQueue()
        self._dispatcher = Dispatcher(self._handling, self._completions, host.loop)
        self._consumer = host.bus.consumer(Reading(service.consumer_group, Start.BEGINNING, small_queue=True))
        self._assignment = Assignment(
            service.name,
            self._consumer,
            self._dispatcher,
            self._completions,
            self._settings.revoke_timeout_s,
            self._handling.share,
        )
        self._committer = self._assignment.committer
        self._poller = Poller(service.name, self._consumer, self._assignment.owned)
        self._incoming = Incoming(service, host.codec, host.call_ids)
        self._undecoded = UndecodedRecords(self._incoming, service.ordered)
        self._capacity = service.concurrency * (_ORDERED_CAPACITY if service.ordered else 1)
        self._commit_first: list[Work] = []
        """At-most-once work that is not committed yet, and in an ordered service the work behind it."""
        self._accepted = 0
        """Work taken in so far, of which `finished` has ended."""
        self._full_since: float | None = None
        self._needs_commit = False
        self._last_read_at = 0.0
        self._next_commit_at = 0.0
        self._next_measure_at = time.monotonic() + MEASURE_INTERVAL_S
        self._stop_by: Deadline | None = None
        self._thread = threading.Thread(target=self._run, name=f"worker-{service.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait_assigned(self, deadline: Deadline) -> None:
        """Returns when the group has assigned partitions to this worker, possibly none. Raises
        `UnavailableError`."""
        if not self._assignment.joined.wait(deadline.remaining()):
            raise UnavailableError(
                f"{self.service.name} was not assigned partitions in time: check that Kafka is reachable"
            )

    def stop(self, deadline: Deadline) -> None:
        """Drains: takes in no more, lets handlers finish until the deadline, commits and leaves the group.

        May take five seconds longer while Kafka does not respond.
        """
        self._stop_by = deadline
        if self._thread.ident is not None:
            self._thread.join(deadline.remaining() + _LEAVE_S)
        if self._thread.is_alive():
            logger.error(
                "%s stops without its final commit, as Kafka does not respond: work completed since the last "
                "commit runs again",
                self.service.name,
            )

    def _run(self) -> None:
        assignment, on_voided = self._assignment, self._dispatcher.cancel_voided
        try:
            self._announcer.start()
            self._handling.share.look_up()
            self._host.voided_calls.subscribe(self._host.loop, on_voided)
            self._consumer.subscribe(
                self.service.topics, assignment.on_assign, assignment.on_revoke, assignment.on_lost
            )
            while self._stop_by is None:
                self._run_once()
            self._drain(self._stop_by)
        except BaseException as error:
            logger.error("%s failed: %s", self.service.name, described(error), exc_info=error)
            self.failure = as_exception(error)
        finally:
            self._announcer.stop()
            try:
                assignment.close(self._stop_by)
            finally:
                self._consumer.close()
                self._host.voided_calls.unsubscribe(on_voided)

    def _run_once(self) -> None:
        failure = self._host.outbox.failure or self._host.failure
        if failure is not None:
            raise failure
        # 1. poll what there is room for
        batch = self._poll()
        # 2. dispatch what the service handles
        self._accept(self._undecoded.decoded())
        if batch:
            self._dispatch(batch)
        # 3. commit at-most-once work, then start it
        self._commit_then_start()
        # 4. commit completed offsets
        self._commit_when_due()
        self._measure()

    def _poll(self) -> Sequence[Received]:
        assignment = self._assignment
        room = self._room()
        if room <= 0 or (assignment.all_paused and room < self._capacity // 2):
            return self._wait_for_room()
        self._full_since = None
        assignment.all_paused = False
        assignment.apply_backpressure()
        return self._poller.poll_batch(self._settings.poll_timeout_s, room)

    def _wait_for_room(self) -> Sequence[Received]:
        """Waits until handlers finish. At first without polling: a short wait is not worth a pause, which drops
        prefetched records. A longer one is: polling keeps the membership in the group.
        """
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since >= self._settings.pause_after_s:
            self._assignment.all_paused = True
            self._assignment.apply_backpressure()
            record = self._poller.poll(0)
            if record is not None:
                return (record,)
        self._completions.arm()
        if self._room() <= 0 or self._assignment.all_paused:
            self._completions.wait(self._settings.poll_timeout_s)
        return ()

    def _room(self) -> int:
        """How many records may be taken in."""
        self._needs_commit |= self._completions.apply()
        unfinished = self._accepted - self._completions.finished
        unacknowledged = self._assignment.in_flight - unfinished
        room = min(self._capacity - unfinished, _MAX_UNACKNOWLEDGED - unacknowledged)
        return min(room, self._undecoded.room)

    def _dispatch(self, batch: Sequence[Received]) -> None:
        self._needs_commit = True
        self._last_read_at = time.monotonic()
        self._handling.observer.received(batch)
        self._accept(work for received in batch if (work := self._take_in(received)) is not None)

    def _accept(self, works: Iterable[Work]) -> None:
        ready: list[Work] = []
        for work in works:
            self._accepted += 1
            if not work.at_most_once:
                work.partition.in_flight += 1
            # In an ordered service, work behind uncommitted work keeps its place.
            waits = work.at_most_once or (self._commit_first and self.service.ordered)
            (self._commit_first if waits else ready).append(work)
        if ready:
            self._dispatcher.submit(ready)

    def _take_in(self, received: Received) -> Work | None:
        """Tracks the record's offset. None for a record that is not to be handled: its partition was revoked
        or is not read, a former owner completed it, the service does not handle it, or it cannot be decoded yet."""
        partition = self._assignment.owned.get((received.topic, received.partition))
        if partition is None or partition.is_held:
            return None
        if partition.tracker.is_below_position(received.offset):
            partition = self._assignment.reset(partition)
        if not partition.tracker.take(received.offset):
            return None
        if self._incoming.handles(received):
            return self._undecoded.work_of(partition, received)
        partition.tracker.complete(received.offset)
        return None

    def _commit_then_start(self) -> None:
        """Commits at-most-once work as completed, and dispatches it once the group has accepted the commit."""
        if not self._commit_first:
            return
        waiting = [work for work in self._commit_first if work.partition.may_start]
        self._accepted -= len(self._commit_first) - len(waiting)
        self._commit_first = waiting
        offsets = [(work.partition, work.received.offset) for work in waiting if work.at_most_once]
        if self._committer.commit({partition for partition, _ in offsets}, as_completed=offsets):
            for partition, offset in offsets:
                partition.tracker.complete(offset)
            self._commit_first = []
            self._dispatcher.submit(waiting)

    def _commit_when_due(self) -> None:
        now = time.monotonic()
        is_idle = now - self._last_read_at >= self._settings.poll_timeout_s
        # Aborted records and the markers of transactions move positions without a record that needs a commit.
        needs_commit = self._needs_commit or now >= self._next_measure_at
        if not needs_commit or not (is_idle or now >= self._next_commit_at):
            return
        self._next_commit_at = now + self._settings.commit_interval_s
        self._assignment.skip_transaction_markers()
        if self._committer.commit(self._assignment.owned.values()) and is_idle:
            # Only then: markers behind the last record show up when nothing is left to read.
            self._needs_commit = False

    def _measure(self) -> None:
        now = time.monotonic()
        if now < self._next_measure_at:
            return
        self._next_measure_at = now + MEASURE_INTERVAL_S
        owned = self._assignment.owned
        self._handling.observer.in_flight(self._accepted - self._completions.finished)
        try:
            watermarks = self._consumer.watermarks(owned, Deadline.after(_WATERMARKS_TIMEOUT_S))
        except OrchestratorError:
            return  # a missing measurement must not end the worker
        reached = {
            position: offset
            for position, each in owned.items()
            if (offset := each.tracker.reached) is not None
        }
        self._handling.observer.lag(watermarks, reached)

    def _drain(self, deadline: Deadline) -> None:
        """Lets work in flight finish. Polls with all partitions paused, to keep the membership in the group."""
        self._assignment.all_paused = True
        while not deadline.passed:
            self._assignment.apply_backpressure()
            self._poller.poll(0)
            self._commit_then_start()
            self._completions.arm()
            self._completions.apply()
            if not self._assignment.in_flight and self._accepted == self._completions.finished:
                break
            self._completions.wait(min(deadline.remaining(), self._settings.poll_timeout_s))
        # Records polled while draining were not taken in, so the commit stays below them.
        self._committer.commit(self._assignment.owned.values())

"""The worker loop: reads for one service, hands work to the event loop, commits what is done."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Reading, Received, Start
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.sdk.service import Service
from orchestrator.worker.assignment import Assignment
from orchestrator.worker.dispatch import Dispatcher
from orchestrator.worker.host import Host
from orchestrator.worker.incoming import Incoming
from orchestrator.worker.observer import MEASURE_S
from orchestrator.worker.offsets import LONGEST_INTAKE
from orchestrator.worker.work import Reports, Work

logger: Final = logging.getLogger(__name__)

_UNACKNOWLEDGED: Final = 1_000
"""Messages beyond the capacity whose outputs may be on their way at a time."""
_ORDERED_CAPACITY: Final = 3
"""Times the concurrency that an ordered service takes in, so that one busy key leaves room for others."""
_RETRY_S: Final = 0.5
_LEAVE_S: Final = 5.0
"""How long committing and leaving may take beyond the deadline: the client gives a commit no time limit."""
_ASK_S: Final = 30.0
"""How long the announcement may take before the worker gives up."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker keeps time, in seconds."""

    poll_s: float = 0.1
    """Longest wait for a record. What is done meanwhile does not wait for it."""
    commit_s: float = 0.5
    """Between two commits under load. Work done since the last one runs again after a crash."""
    pressure_s: float = 1.0
    """Without room for so long, partitions are paused so that polling can go on."""
    give_up_s: float = 2.0
    """Deadline for giving partitions up; half of it is for letting short handlers end."""


class Worker:
    """Runs one service in this process. Copies of it, here or elsewhere, share its partitions.

    The worker's thread owns the consumer; handlers run on the host's event loop, which all workers share.
    """

    def __init__(self, service: Service, host: Host, settings: WorkerSettings | None = None) -> None:
        self.service = service
        self.failure: Exception | None = None
        """Why the worker ended by itself. Nothing is lost: another worker for the service may be started."""
        self._host = host
        self._settings = settings or WorkerSettings()
        self._handling = host.handling(service)
        self._reports = Reports()
        self._dispatcher = Dispatcher(self._handling, self._reports, host.loop)
        self._consumer = host.bus.consumer(Reading(service.consumer_group, Start.BEGINNING, small_queue=True))
        self._assignment = Assignment(
            service.name, self._consumer, self._dispatcher, self._reports, self._settings.give_up_s
        )
        self._incoming = Incoming(service, host.codec)
        self._capacity = service.concurrency * (_ORDERED_CAPACITY if service.ordered else 1)
        self._held: list[Work] = []
        """Work that is committed as done before it starts, and what has to wait behind it."""
        self._submitted = 0
        self._pressed_since: float | None = None
        self._is_dirty = False
        self._read_at = 0.0
        self._commit_at = 0.0
        self._measure_at = time.monotonic() + MEASURE_S
        self._fault: OrchestratorError | None = None
        """What reading raised when it had records to return first."""
        self._stop_by: Deadline | None = None
        self._thread = threading.Thread(target=self._run, name=f"worker-{service.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait_assigned(self, deadline: Deadline) -> None:
        """Returns when the group has given this worker partitions. Raises `UnavailableError`."""
        if not self._assignment.joined.wait(deadline.remaining()):
            raise UnavailableError(f"{self.service.name} got no partitions in time: is the broker there?")

    def stop(self, deadline: Deadline) -> None:
        """Takes no more, lets handlers end until the deadline, commits and leaves. Kafka is waited for a little."""
        self._stop_by = deadline
        if self._thread.ident is not None:
            self._thread.join(deadline.remaining() + _LEAVE_S)
        if self._thread.is_alive():
            logger.error("%s ends without its last commit: Kafka does not answer", self.service.name)

    def _run(self) -> None:
        assignment, on_void = self._assignment, self._dispatcher.void
        try:
            self._announce()
            self._host.void_calls.listen(self._host.loop, on_void)
            self._consumer.subscribe(
                self.service.topics, assignment.on_assign, assignment.on_revoke, assignment.on_lost
            )
            while self._stop_by is None:
                self._turn()
            self._drain(self._stop_by)
        except Exception as error:
            logger.error("%s has ended: %s", self.service.name, error, exc_info=error)
            self.failure = error
        finally:
            try:
                assignment.end(assignment.owned.values(), self._stop_by)
            finally:
                self._consumer.close()
                self._host.void_calls.forget(on_void)

    def _announce(self) -> None:
        """Looks up the schemas of what will be written, and says what exists because this service runs."""
        written = [entry.message for entry in CATALOGUE if entry.writer == self.service.name]
        self._host.codec.prepare([*written, MessageDeadLettered])
        table = self._host.definitions.table
        records = [
            self._host.codec.encode(definition, source=self._handling.source)
            for definition in self.service.announcement(self._handling.platform)
            if not table.has(definition)
        ]
        if records:
            sent = threading.Event()
            self._host.outbox.send(records, lambda _error: sent.set())
            if not sent.wait(_ASK_S):
                raise UnavailableError(f"{self.service.name} could not announce itself: is the broker there?")

    def _turn(self) -> None:
        if self._host.outbox.failure is not None:
            raise self._host.outbox.failure
        # 1. read what there is room for
        batch = self._read()
        # 2. hand over what the service handles, complete the rest
        if batch:
            self._take(batch)
        # 3. what runs at most once is committed first
        self._start_held()
        # 4. commit when it is time, or when nothing comes
        self._commit_when_due()
        self._measure()

    def _read(self) -> Sequence[Received] | None:
        """Records that are there; None where there is no room for any."""
        assignment = self._assignment
        room = self._room()
        if room <= 0 or (assignment.holds_back and room < self._capacity // 2):
            return self._hold_back()
        self._pressed_since = None
        assignment.holds_back = False
        assignment.pause_as_needed()
        first = self._polled(self._settings.poll_s)
        return () if first is None else self._drained(first, room)

    def _polled(self, timeout_s: float) -> Received | None:
        fault, self._fault = self._fault, None
        try:
            if fault is not None:
                raise fault
            return self._consumer.poll(timeout_s)
        except UnavailableError as error:
            logger.warning("%s cannot read: %s", self.service.name, error)
            time.sleep(_RETRY_S)
            return None

    def _drained(self, first: Received, room: int) -> Sequence[Received]:
        """The record and what is there behind it, together no more than a tracker takes between two looks at
        its room. The record is kept whatever draining raises: nothing would bring it back."""
        position = first.topic, first.partition
        before = self._assignment.owned.get(position)
        try:
            rest = self._consumer.drain(min(room, LONGEST_INTAKE) - 1)
        except OrchestratorError as error:
            self._fault = error
            rest = []
        if self._assignment.owned.get(position) is not before:
            return rest  # given up meanwhile: its next owner reads it
        return (first, *rest)

    def _hold_back(self) -> Sequence[Received] | None:
        """Waits for room, without polling. If that lasts, polls with everything paused, for the group's sake.

        A short wait is not worth a pause: pausing drops what was prefetched.
        """
        now = time.monotonic()
        self._pressed_since = self._pressed_since or now
        if now - self._pressed_since >= self._settings.pressure_s:
            self._assignment.holds_back = True
            self._assignment.pause_as_needed()
            record = self._polled(0)
            if record is not None:
                return (record,)
        self._reports.expect()
        if self._room() <= 0 or self._assignment.holds_back:
            self._reports.wait(self._settings.poll_s)
        return None

    def _room(self) -> int:
        """How many records may be taken in."""
        self._is_dirty |= self._reports.take_in()
        unfinished = self._submitted - self._reports.ended
        unacknowledged = self._assignment.open - unfinished
        return min(self._capacity - unfinished, _UNACKNOWLEDGED - unacknowledged)

    def _take(self, batch: Sequence[Received]) -> None:
        self._is_dirty = True
        self._read_at = time.monotonic()
        self._handling.observer.received(batch)
        ready: list[Work] = []
        for received in batch:
            ownership = self._assignment.owned.get((received.topic, received.partition))
            if ownership is None:
                continue
            if ownership.tracker.is_behind(received.offset):
                ownership = self._assignment.begin_anew(ownership)
            if not ownership.tracker.take(received.offset):
                continue
            if not self._incoming.handles(received):
                ownership.tracker.complete(received.offset)
                continue
            work = self._incoming.work(ownership, received)
            if work is None:
                ownership.tracker.complete(received.offset)
                continue
            self._submitted += 1
            if not work.once:
                ownership.open += 1
            # Behind held work of an ordered service everything keeps its place.
            is_held = work.once or (self._held and self.service.ordered)
            (self._held if is_held else ready).append(work)
        if ready:
            self._dispatcher.submit(ready)

    def _start_held(self) -> None:
        """Commits as done what runs at most once, and hands it over when the group has taken that."""
        if not self._held:
            return
        held = [work for work in self._held if work.ownership.starts]
        self._submitted -= len(self._held) - len(held)
        self._held = held
        once = [work for work in held if work.once]
        places = [(work.ownership, work.received.offset) for work in once]
        if self._assignment.commit({work.ownership for work in once}, places):
            for ownership, offset in places:
                ownership.tracker.complete(offset)
            self._held = []
            self._dispatcher.submit(held)

    def _commit_when_due(self) -> None:
        now = time.monotonic()
        is_idle = now - self._read_at >= self._settings.poll_s
        if not self._is_dirty or not (is_idle or now >= self._commit_at):
            return
        self._commit_at = now + self._settings.commit_s
        self._assignment.skip_to_position()
        if self._assignment.commit(self._assignment.owned.values()) and is_idle:
            # Only then: markers behind the last record show up when nothing is left to read.
            self._is_dirty = False

    def _measure(self) -> None:
        now = time.monotonic()
        if now < self._measure_at:
            return
        self._measure_at = now + MEASURE_S
        owned = self._assignment.owned
        self._handling.observer.in_flight(self._submitted - self._reports.ended)
        try:
            ends = self._consumer.watermarks(owned, Deadline.after(_RETRY_S))
        except OrchestratorError:
            return  # a worker does not end for a number
        committed = {place: each.committed[0] for place, each in owned.items() if each.committed}
        self._handling.observer.lag(ends, committed)

    def _drain(self, deadline: Deadline) -> None:
        """Lets what is in flight end, polling for the group's sake with everything paused."""
        self._assignment.holds_back = True
        while not deadline.passed:
            self._assignment.pause_as_needed()
            self._polled(0)
            self._start_held()
            self._reports.expect()
            self._reports.take_in()
            if not self._assignment.open and self._submitted == self._reports.ended:
                break
            self._reports.wait(min(deadline.remaining(), self._settings.poll_s))
        # What came too late was not taken in, so the commit stays below it.
        self._assignment.commit(self._assignment.owned.values())

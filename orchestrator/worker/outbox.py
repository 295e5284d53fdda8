"""Sends what the handlers of a process write: one idempotent producer, and one thread that drives it."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.errors import ContractError, OrchestratorError

logger: Final = logging.getLogger(__name__)

LINGER_S: Final = 0.010
"""How long records linger under load, for larger requests. At 10 ms the broker needs half the CPU of 0 ms."""
QUIET_RATE: Final = 500.0
"""Records a second up to which nothing lingers: a single session writes some 300 a second."""
BUSY_RATE: Final = 2_000.0
"""Records a second from which records linger for the full time; in between for a part of it."""
_RATE_WINDOW_S: Final = 0.05
_FLUSH_S: Final = 0.05
"""A slow partition delays the others by no more than this."""
_IDLE_S: Final = 0.5
_INITIAL_BACKOFF_S: Final = 0.1
_MAX_BACKOFF_S: Final = 5.0

OnDone: TypeAlias = Callable[[OrchestratorError | None], None]
"""Called once, on the outbox's thread: None when all records are acknowledged, or why they never will be."""


class _Request:
    """Records of one `send`, done together."""

    __slots__ = ("error", "on_done", "pending", "records")

    def __init__(self, records: Sequence[Outgoing], on_done: OnDone) -> None:
        self.records = records
        self.pending = len(records)
        self.on_done = on_done
        self.error: OrchestratorError | None = None

    def settle(self, error: OrchestratorError | None) -> None:
        """One of its records is acknowledged, or will never be."""
        self.error = self.error or error
        self.pending -= 1
        if self.pending == 0:
            self.on_done(self.error)


class _Retry(NamedTuple):
    due: float
    """When to send, by the monotonic clock."""
    number: int
    """Orders retries that are due at the same time."""
    backoff_s: float
    request: _Request
    record: Outgoing


class Outbox:
    """Sends records from any thread. Records of a partition keep their order, except those that are retried.

    A record that the broker does not acknowledge is retried indefinitely: ids are derived, so readers drop a
    duplicate. Only one that the broker refuses (`ContractError`) fails, and only after it was refused alone: a
    broker refuses a whole batch for one bad record in it. A quiet system sends at once; the higher the rate, the
    longer records linger, up to `LINGER_S`.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._queue: deque[_Request] = deque()
        self._retries: list[_Retry] = []
        """A heap."""
        self._retry_count = 0
        self._refused: deque[tuple[_Request, Outgoing]] = deque()
        """Records of batches that the broker refused; each is sent alone."""
        self._wakeup = threading.Event()
        self._in_flight = 0
        self._stop_by: Deadline | None = None
        self._rate = 0.0
        self._last_sent_at = 0.0
        self._failure: FatalError | None = None
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, records: Sequence[Outgoing], on_done: OnDone) -> None:
        """Queues records that are done together. Raises `FatalError` once the producer has failed."""
        if self._failure is not None:
            raise self._failure
        self._queue.append(_Request(records, on_done))
        if not self._wakeup.is_set():
            self._wakeup.set()

    @property
    def failure(self) -> FatalError | None:
        """Why the producer failed permanently; the process has to be restarted."""
        return self._failure

    def stop(self, deadline: Deadline) -> None:
        """Sends what is queued, as far as the deadline allows, and closes the producer."""
        self._stop_by = deadline
        self._wakeup.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._producer.close()

    def _run(self) -> None:
        while not self._is_finished():
            try:
                self._run_once()
            except FatalError as error:
                self._fail(error)
            except OrchestratorError as error:
                logger.warning("cannot send to Kafka, retrying: %s", error)
                time.sleep(_INITIAL_BACKOFF_S)
            except Exception as error:
                # Without this thread nothing is sent any more, and nobody would learn of it.
                logger.critical("the outbox failed", exc_info=error)
                self._fail(FatalError(f"the outbox failed: {error!r}"))

    def _is_finished(self) -> bool:
        if self._stop_by is None:
            return False
        is_idle = not (self._queue or self._retries or self._refused or self._in_flight)
        return is_idle or self._failure is not None or self._stop_by.passed

    def _run_once(self) -> None:
        self._wakeup.wait(self._idle_wait_s())
        self._linger()
        self._wakeup.clear()
        sent = self._send_queued() + self._send_due_retries()
        self._update_rate(sent)
        if sent or self._in_flight:
            self._producer.flush(Deadline.after(_FLUSH_S))
        else:
            self._producer.poll(0)
        self._send_refused_alone()

    def _idle_wait_s(self) -> float:
        if self._in_flight or self._refused:
            return 0.0
        if self._retries:
            return max(0.0, min(_IDLE_S, self._retries[0].due - time.monotonic()))
        return _IDLE_S

    def _linger(self) -> None:
        share = (self._rate - QUIET_RATE) / (BUSY_RATE - QUIET_RATE)
        wait = self._last_sent_at + LINGER_S * min(1.0, share) - time.monotonic()
        if wait > 0 and self._queue:
            time.sleep(wait)

    def _update_rate(self, sent: int) -> None:
        now = time.monotonic()
        elapsed = max(now - self._last_sent_at, 1e-6)
        weight = 1 - math.exp(-elapsed / _RATE_WINDOW_S)
        self._rate += (sent / elapsed - self._rate) * weight
        self._last_sent_at = now

    def _send_queued(self) -> int:
        sent = 0
        while self._queue:
            request = self._queue.popleft()
            for record in request.records:
                self._send(request, record, _INITIAL_BACKOFF_S)
                sent += 1
        return sent

    def _send_due_retries(self) -> int:
        sent = 0
        now = time.monotonic()
        while self._retries and self._retries[0].due <= now:
            retry = heappop(self._retries)
            self._send(retry.request, retry.record, min(retry.backoff_s * 2, _MAX_BACKOFF_S))
            sent += 1
        return sent

    def _send_refused_alone(self) -> None:
        """Sends one record while no other is in flight that could share its batch."""
        if self._refused and not self._in_flight:
            self._send(*self._refused.popleft(), _INITIAL_BACKOFF_S, alone=True)
            self._producer.flush(Deadline.after(_FLUSH_S))

    def _send(self, request: _Request, record: Outgoing, backoff_s: float, *, alone: bool = False) -> None:
        self._in_flight += 1
        try:
            self._producer.send(record, partial(self._on_delivery, request, record, backoff_s, alone))
        except OrchestratorError as error:
            # The client itself refuses this record, not a batch that it is in.
            self._on_delivery(request, record, backoff_s, True, error)
            if isinstance(error, FatalError):
                raise

    def _on_delivery(
        self,
        request: _Request,
        record: Outgoing,
        backoff_s: float,
        alone: bool,
        error: OrchestratorError | None,
    ) -> None:
        self._in_flight -= 1
        if isinstance(error, ContractError) and not alone:
            self._refused.append((request, record))
            return
        if error is None or isinstance(error, ContractError | FatalError):
            request.settle(error)
            if isinstance(error, FatalError):
                self._failure = self._failure or error
            return
        logger.warning("a record for %s was not acknowledged, retrying: %s", record.topic, error)
        self._retry_count += 1
        due = time.monotonic() + backoff_s
        heappush(self._retries, _Retry(due, self._retry_count, backoff_s, request, record))

    def _fail(self, error: FatalError) -> None:
        self._failure = error
        logger.error("producer failed permanently; restart the process: %s", error)
        while self._queue:
            self._queue.popleft().on_done(error)
        while self._retries:
            heappop(self._retries).request.settle(error)
        while self._refused:
            self._refused.popleft()[0].settle(error)
        time.sleep(_INITIAL_BACKOFF_S)

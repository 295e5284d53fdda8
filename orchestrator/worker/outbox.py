"""What the handlers of a process write goes out here: one idempotent producer, one thread that drives it."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Final, TypeAlias

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.errors import ContractError, OrchestratorError

logger: Final = logging.getLogger(__name__)

LINGER_S: Final = 0.010
"""How long records wait for company under load. At 10 ms the broker needs half the CPU that it needs at 0."""
QUIET_RATE: Final = 500.0
"""Records a second up to which nobody waits: a session alone writes some 300 a second."""
BUSY_RATE: Final = 2_000.0
"""Records a second from which the full linger is waited; in between a part of it."""
_RATE_WINDOW_S: Final = 0.05
_FLUSH_S: Final = 0.05
"""One slow partition must not hold back the others for longer than this."""
_IDLE_S: Final = 0.5
_FIRST_RETRY_S: Final = 0.1
_LONGEST_RETRY_S: Final = 5.0

OnDone: TypeAlias = Callable[[OrchestratorError | None], None]
"""Told once, on the outbox's thread: None when all records are acknowledged, or why they never will be."""


class _Parcel:
    """Records that are done together."""

    __slots__ = ("error", "on_done", "open", "records")

    def __init__(self, records: Sequence[Outgoing], on_done: OnDone) -> None:
        self.records = records
        self.open = len(records)
        self.on_done = on_done
        self.error: OrchestratorError | None = None

    def settle(self, error: OrchestratorError | None) -> None:
        self.error = self.error or error
        self.open -= 1
        if self.open == 0:
            self.on_done(self.error)


class Outbox:
    """Sends parcels of records from any thread; records of a partition keep their order, but for those that
    the broker did not take.

    These are sent again, without end, until they are acknowledged: ids are derived, so a record that arrives
    twice is one. Only a record that does not fit (`ContractError`) is given up, once the broker has refused it
    alone: it refuses a whole batch for one record in it. A quiet system sends at once; the more is sent, the
    longer records are gathered, up to `LINGER_S`: big requests.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._parcels: deque[_Parcel] = deque()
        self._again: list[tuple[float, int, float, _Parcel, Outgoing]] = []
        self._suspects: deque[tuple[_Parcel, Outgoing]] = deque()
        """Records of batches that were refused."""
        self._resent = 0
        self._arrived = threading.Event()
        self._under_way = 0
        self._stop_by: Deadline | None = None
        self._rate = 0.0
        self._sent_at = 0.0
        self._failure: FatalError | None = None
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, records: Sequence[Outgoing], on_done: OnDone) -> None:
        """Queues records that are done together. Raises `FatalError` once the producer is of no further use."""
        if self._failure is not None:
            raise self._failure
        self._parcels.append(_Parcel(records, on_done))
        if not self._arrived.is_set():
            self._arrived.set()

    @property
    def failure(self) -> FatalError | None:
        """Why nothing can be sent any more; the process has to start anew."""
        return self._failure

    def stop(self, deadline: Deadline) -> None:
        """Sends what is queued, as far as the deadline allows, and closes the producer."""
        self._stop_by = deadline
        self._arrived.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._producer.close()

    def _run(self) -> None:
        while not self._finished():
            try:
                self._turn()
            except FatalError as error:
                self._fail(error)
            except OrchestratorError as error:
                logger.warning("sending is held up: %s", error)
                time.sleep(_FIRST_RETRY_S)

    def _finished(self) -> bool:
        if self._stop_by is None:
            return False
        idle = not (self._parcels or self._again or self._suspects or self._under_way)
        return idle or self._failure is not None or self._stop_by.passed

    def _turn(self) -> None:
        self._arrived.wait(self._wait_s())
        self._gather()
        self._arrived.clear()
        sent = self._send_parcels() + self._send_again()
        self._measure(sent)
        if sent or self._under_way:
            self._producer.flush(Deadline.after(_FLUSH_S))
        else:
            self._producer.poll(0)
        self._try_suspect()

    def _wait_s(self) -> float:
        if self._under_way or self._suspects:
            return 0.0
        if self._again:
            return max(0.0, min(_IDLE_S, self._again[0][0] - time.monotonic()))
        return _IDLE_S

    def _gather(self) -> None:
        share = (self._rate - QUIET_RATE) / (BUSY_RATE - QUIET_RATE)
        wait = self._sent_at + LINGER_S * min(1.0, share) - time.monotonic()
        if wait > 0 and self._parcels:
            time.sleep(wait)

    def _measure(self, sent: int) -> None:
        now = time.monotonic()
        elapsed = max(now - self._sent_at, 1e-6)
        weight = 1 - math.exp(-elapsed / _RATE_WINDOW_S)
        self._rate += (sent / elapsed - self._rate) * weight
        self._sent_at = now

    def _send_parcels(self) -> int:
        sent = 0
        while self._parcels:
            parcel = self._parcels.popleft()
            for record in parcel.records:
                self._send(parcel, record, _FIRST_RETRY_S)
                sent += 1
        return sent

    def _send_again(self) -> int:
        sent = 0
        now = time.monotonic()
        while self._again and self._again[0][0] <= now:
            _, _, delay, parcel, record = heappop(self._again)
            self._send(parcel, record, min(delay * 2, _LONGEST_RETRY_S))
            sent += 1
        return sent

    def _try_suspect(self) -> None:
        """Sends one record while nothing else is under way that it could share a batch with."""
        if self._suspects and not self._under_way:
            self._send(*self._suspects.popleft(), _FIRST_RETRY_S, alone=True)
            self._producer.flush(Deadline.after(_FLUSH_S))

    def _send(self, parcel: _Parcel, record: Outgoing, delay: float, *, alone: bool = False) -> None:
        self._under_way += 1
        try:
            self._producer.send(record, partial(self._delivered, parcel, record, delay, alone))
        except OrchestratorError as error:
            # The client refuses no batch, but the record itself.
            self._delivered(parcel, record, delay, True, error)
            if isinstance(error, FatalError):
                raise

    def _delivered(
        self, parcel: _Parcel, record: Outgoing, delay: float, alone: bool, error: OrchestratorError | None
    ) -> None:
        self._under_way -= 1
        if isinstance(error, ContractError) and not alone:
            self._suspects.append((parcel, record))
            return
        if error is None or isinstance(error, ContractError | FatalError):
            parcel.settle(error)
            if isinstance(error, FatalError):
                self._failure = self._failure or error
            return
        logger.warning("a record for %s was not taken and is sent again: %s", record.topic, error)
        self._resent += 1
        heappush(self._again, (time.monotonic() + delay, self._resent, delay, parcel, record))

    def _fail(self, error: FatalError) -> None:
        self._failure = error
        logger.error("nothing can be sent any more, start the process anew: %s", error)
        while self._parcels:
            parcel = self._parcels.popleft()
            parcel.on_done(error)
        while self._again:
            heappop(self._again)[3].settle(error)
        while self._suspects:
            self._suspects.popleft()[0].settle(error)
        time.sleep(_FIRST_RETRY_S)

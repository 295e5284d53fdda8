"""The outbox: unacknowledged records are retried, refused ones fail, and records linger only under load."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import OnDelivery, Outgoing
from orchestrator.errors import ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.worker.outbox import LINGER_S, Outbox
from tests.support.workers import until

Answer = Callable[[Outgoing], OrchestratorError | None]


class MemoryProducer:
    """A producer whose broker answers with `answer` at each flush, unless `is_silent`."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _record: None
        self.is_silent = False
        self.acknowledged: list[bytes] = []
        self.flushes: list[int] = []
        self._queued: deque[tuple[Outgoing, OnDelivery]] = deque()

    def send(self, outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
        assert on_delivery is not None
        self._queued.append((outgoing, on_delivery))

    def poll(self, timeout_s: float = 0.0) -> int:  # noqa: ARG002 - the port's
        return 0

    def flush(self, deadline: Deadline) -> int:  # noqa: ARG002 - the port's
        if self.is_silent:
            time.sleep(0.001)
            return len(self._queued)
        self.flushes.append(len(self._queued))
        for record, on_delivery in tuple(self._queued):
            self._queued.popleft()
            error = self.answer(record)
            if error is None:
                self.acknowledged.append(record.key)
            on_delivery(error)
        return 0

    def close(self) -> None:
        self._queued.clear()


def record(key: str) -> Outgoing:
    return Outgoing(Topic.EVENTS, key.encode(), b"", ())


@pytest.fixture
def producer() -> MemoryProducer:
    return MemoryProducer()


@pytest.fixture
def outbox(producer: MemoryProducer) -> Iterator[Outbox]:
    outbox = Outbox(producer)
    outbox.start()
    yield outbox
    outbox.stop(Deadline.after(1))


def sent(outbox: Outbox, *keys: str) -> list[OrchestratorError | None]:
    """Sends records in one request; the results that its callback got."""
    results: list[OrchestratorError | None] = []
    outbox.send([record(key) for key in keys], results.append)
    until(lambda: bool(results), "they are done")
    return results


def test_records_of_one_request_are_done_together(outbox: Outbox, producer: MemoryProducer) -> None:
    assert sent(outbox, "a", "b", "c") == [None]
    assert producer.acknowledged == [b"a", b"b", b"c"]


def test_only_the_unacknowledged_record_is_retried(outbox: Outbox, producer: MemoryProducer) -> None:
    failures = deque([UnavailableError("no answer"), UnavailableError("no answer")])
    producer.answer = lambda one: failures.popleft() if one.key == b"b" and failures else None

    assert sent(outbox, "a", "b", "c") == [None]
    assert producer.acknowledged == [b"a", b"c", b"b"]


def test_a_record_that_is_too_large_fails_its_request_after_the_others_are_sent(
    outbox: Outbox, producer: MemoryProducer
) -> None:
    too_large = ContractError("too large")
    producer.answer = lambda one: too_large if one.key == b"a" else None

    assert sent(outbox, "a", "b") == [too_large]
    assert producer.acknowledged == [b"b"]


def test_of_a_refused_batch_only_the_record_that_is_refused_alone_fails(
    outbox: Outbox, producer: MemoryProducer
) -> None:
    too_large = ContractError("too large")
    producer.answer = lambda one: too_large if producer.flushes[-1] > 1 or one.key == b"b" else None

    assert sent(outbox, "a", "b", "c") == [too_large]
    assert producer.acknowledged == [b"a", b"c"]


def test_a_producer_that_failed_permanently_takes_no_more(outbox: Outbox, producer: MemoryProducer) -> None:
    fatal = FatalError("out of order")
    producer.answer = lambda _one: fatal

    assert sent(outbox, "a") == [fatal]
    assert outbox.failure is fatal
    with pytest.raises(FatalError):
        outbox.send([record("b")], lambda _error: None)


def test_a_quiet_outbox_sends_at_once(outbox: Outbox, producer: MemoryProducer) -> None:
    waits = []
    for number in range(20):
        start = time.monotonic()
        sent(outbox, str(number))
        waits.append(time.monotonic() - start)
        time.sleep(0.02)

    assert sorted(waits)[10] < LINGER_S


def test_a_busy_outbox_lingers(outbox: Outbox, producer: MemoryProducer) -> None:
    stop = threading.Event()

    def keep_sending() -> None:
        # Several at a time, so that the rate suffices even while other programs have the processor.
        while not stop.wait(0.0002):
            for _ in range(10):
                outbox.send([record("x")], lambda _error: None)

    thread = threading.Thread(target=keep_sending)
    thread.start()
    time.sleep(0.5)
    producer.flushes.clear()
    start = time.monotonic()
    time.sleep(0.3)
    stop.set()
    thread.join()
    elapsed = time.monotonic() - start

    assert len(producer.flushes) < elapsed / LINGER_S * 2


def test_stopping_sends_what_is_queued(producer: MemoryProducer) -> None:
    outbox = Outbox(producer)
    outbox.start()
    for number in range(100):
        outbox.send([record(str(number))], lambda _error: None)
    outbox.stop(Deadline.after(5))

    assert len(producer.acknowledged) == 100


def test_stopping_does_not_wait_for_a_broker_longer_than_its_deadline(producer: MemoryProducer) -> None:
    producer.is_silent = True
    outbox = Outbox(producer)
    outbox.start()
    outbox.send([record("a")], lambda _error: None)
    start = time.monotonic()
    outbox.stop(Deadline.after(0.1))

    assert time.monotonic() - start < 1

"""The event loop's side of a worker: runs handlers, sends their outputs, and reports the outcome of each."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Outgoing
from orchestrator.delivery.caps import DeadLetterCaps
from orchestrator.delivery.dead_letters import HANDLE, bounded_dead_letter, dead_letter, has_dead_letter
from orchestrator.delivery.failed_replies import TOO_LARGE, UNENCODABLE, failed_reply
from orchestrator.delivery.sizes import RECORD_BYTES, size_of
from orchestrator.errors import ContractError, OrchestratorError, unforeseen
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.sdk.activities import Activity, begin
from orchestrator.sdk.containment import is_from_outside
from orchestrator.sdk.failures import described, failure_of
from orchestrator.sdk.roles.middleware import Next
from orchestrator.sdk.service_context import Platform, ServiceContext
from orchestrator.telemetry.metrics import DEAD_LETTERS
from orchestrator.worker.broadcast.cancellations import VoidedCalls
from orchestrator.worker.completions import CompletionQueue
from orchestrator.worker.observer import Observer
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.partition import OwnedPartition
from orchestrator.worker.share import Share
from orchestrator.worker.work import Work

logger: Final = logging.getLogger(__name__)

HANDLER_FAILED: Final = "handler_error"
"""Code of the failure in a dead letter whose handler raised."""
_MAX_DEAD_LETTERS: Final = 2
"""The first holds the original record; if that is too large for the topic, the second only the beginning of it."""
_INITIAL_BACKOFF_S: Final = 0.2
_MAX_BACKOFF_S: Final = 10.0


@dataclass(frozen=True)
class Handling:
    """How one service handles its messages, and with what."""

    service: str
    call: Next
    """The handlers, inside their middleware."""
    ordered: bool
    concurrency: int
    platform: Platform
    codec: Codec
    outbox: Outbox
    dead_letters: DeadLetterCaps
    voided_calls: VoidedCalls
    observer: Observer
    share: Share
    """How much of the service's work comes to this process."""
    source: str
    """CloudEvents source of what it writes."""
    is_stopping: Callable[[], bool] = lambda: False
    """Whether the process cancels what still runs."""


class Dispatcher:
    """Runs at most `concurrency` handlers at a time; in an ordered service those of one key one after the other.

    The consumer's thread calls `submit`, `abandon_ready` and `cancel`; all else runs on the event loop, unless
    its docstring says otherwise.
    """

    def __init__(
        self, handling: Handling, completions: CompletionQueue, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._handling = handling
        self._completions = completions
        self._loop = loop
        self._ready: deque[Work] = deque()
        self._running: set[Work] = set()
        self._queues: dict[bytes, deque[Work]] = {}
        """Work of a key that waits for the one before it; a key is here while any of its work is in flight."""
        self._running_by_call: dict[str, set[Work]] = {}
        self._deliveries: deque[tuple[Work, OrchestratorError | None]] = deque()
        """Delivery reports of the outbox that the event loop has to handle."""
        self._is_scheduled = False
        """Whether the event loop is going to handle them."""

    def submit(self, batch: Sequence[Work]) -> None:
        """Takes work over; each will be completed or abandoned."""
        self._loop.call_soon_threadsafe(self._enqueue, batch)

    def abandon_ready(self) -> None:
        """Abandons work that has not started and may not start any more."""
        self._loop.call_soon_threadsafe(self._abandon_ready)

    def cancel(self, partitions: Collection[OwnedPartition]) -> None:
        """Cancels the running work of partitions and abandons the rest; at-most-once work continues, as no other
        worker will run it."""
        self._loop.call_soon_threadsafe(self._cancel, partitions)

    def cancel_voided(self, calls: Iterable[str]) -> None:
        """Cancels the work of voided calls. It is completed, and its outputs are dropped, but for what it used."""
        for call in calls:
            for work in self._running_by_call.get(call, ()):
                work.is_voided = True
                if work.task is not None:
                    work.task.cancel()

    def _enqueue(self, batch: Sequence[Work]) -> None:
        for work in batch:
            if work.key is None:
                self._ready.append(work)
            elif work.key in self._queues:
                self._queues[work.key].append(work)
            else:
                self._queues[work.key] = deque()
                self._ready.append(work)
        self._start_ready()

    def _abandon_ready(self) -> None:
        ready, self._ready = self._ready, deque()
        for work in ready:
            if work.partition.may_start or work.at_most_once:
                self._ready.append(work)
            else:
                self._completions.finish()
                self._abandon(work)
        self._start_ready()

    def _cancel(self, partitions: Collection[OwnedPartition]) -> None:
        for work in self._running:
            if work.partition in partitions and not work.at_most_once and work.task is not None:
                work.task.cancel()
        self._abandon_ready()

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < self._handling.concurrency:
            self._start(self._ready.popleft())

    def _start(self, work: Work) -> None:
        if not work.partition.may_start and not work.at_most_once:
            self._completions.finish()
            self._abandon(work)
            return
        call = _call_of(work)
        if call and self._handling.voided_calls.includes(call):
            self._completions.finish()
            self._complete(work)
            return
        self._running.add(work)
        if call:
            self._running_by_call.setdefault(call, set()).add(work)
        self._run_in_task(work, call)

    def _run_in_task(self, work: Work, call: str, raised: BaseException | None = None) -> None:
        # Not by the loop's task factory: the work does not belong to the handler that ended before it.
        work.task = asyncio.Task(self._run(work, call, raised), loop=self._loop, name=self._handling.service)

    async def _run(self, work: Work, call: str, raised: BaseException | None) -> None:
        """Handles a record, or dead-letters one whose handler has `raised`."""
        records: Sequence[Outgoing] | None = None
        try:
            records = await (self._outputs(work) if raised is None else self._dead_letter(work, raised))
        except BaseException as error:  # noqa: BLE001 - nothing awaits this task
            if not self._is_cancelled(work, error):
                if isinstance(error, asyncio.CancelledError):
                    # The handler cancelled itself. In its own task that may strike again, at any await.
                    self._run_in_task(work, call, error)
                    return
                self._report_unwritten(work, error)
        if work.is_voided:
            await self._report_usage(work)
        self._running.discard(work)
        if call:
            self._forget_call(call, work)
        self._completions.finish()
        self._finish(work, records)
        self._start_ready()

    def _is_cancelled(self, work: Work, error: BaseException) -> bool:
        """Whether a handler's error follows from ending it: nobody needs its outcome any more."""
        if work.is_voided or not (work.partition.may_send or work.at_most_once):
            return True
        # A task of a plug-in may cancel itself, so a cancellation alone says nothing.
        thrown_away = isinstance(error, GeneratorExit) and is_from_outside(error, work.task)
        return thrown_away or self._handling.is_stopping()

    def _finish(self, work: Work, records: Sequence[Outgoing] | None) -> None:
        if work.is_voided:
            self._complete(work)
        elif records is None or not (work.partition.may_send or work.at_most_once):
            self._abandon(work)
        elif not records:
            self._complete(work)
        else:
            self._send(work, records)

    def _send(self, work: Work, records: Sequence[Outgoing]) -> None:
        self._handling.observer.sent(records)
        try:
            self._handling.outbox.send(records, partial(self._on_delivery, work))
        except FatalError:
            self._abandon(work)

    def _on_delivery(self, work: Work, error: OrchestratorError | None) -> None:
        """On the outbox's thread. The event loop is woken only if it has to act, and once for many reports."""
        if work.key is None and error is None:
            self._completions.complete(work)
            return
        self._deliveries.append((work, error))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._handle_deliveries)

    def _handle_deliveries(self) -> None:
        self._is_scheduled = False
        while self._deliveries:
            work, error = self._deliveries.popleft()
            if error is None:
                self._complete(work)
            elif not isinstance(error, ContractError):
                self._abandon(work)
            elif work.dead_letters < _MAX_DEAD_LETTERS:
                work.task = self._loop.create_task(self._dead_letter_outputs(work, error))
            else:
                logger.error(
                    "%s is skipped: even its dead letter cannot be sent: %s", work.received.location, error
                )
                self._complete(work)
        self._start_ready()

    async def _dead_letter_outputs(self, work: Work, error: ContractError) -> None:
        """Sends a dead letter and failures in place of outputs that the broker refuses."""
        try:
            failures = await self._failures(work, str(error), TOO_LARGE)
            # A failure repeats the names of its reply: one that is too large as well is left out.
            fitting = [record for record in failures if size_of(record) <= RECORD_BYTES]
            records = [*await self._dead_letter(work, error), *fitting]
        except Exception as failed:  # noqa: BLE001 - reported, and the record is read again
            self._report_unwritten(work, failed)
            self._abandon(work)
        else:
            self._send(work, records)

    def _report_unwritten(self, work: Work, error: BaseException) -> None:
        logger.error(
            "%s could not dead-letter %s; it is read again after a restart or rebalance",
            self._handling.service,
            work.received.location,
            exc_info=error,
        )

    async def _outputs(self, work: Work) -> Sequence[Outgoing]:
        """What to send for a record: its handler's outputs, or its dead letter."""
        message = work.message
        if work.failure is not None or not isinstance(message, Command | Event):
            return await self._dead_letter(work)
        try:
            return await self._handle(work, message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self._is_cancelled(work, error):
                raise
            if not work.outputs:
                await self._report_usage(work)
            records = await self._dead_letter(work, error)
            return [
                *records,
                *await self._failures(work, f"the reply cannot be sent: {described(error)}", UNENCODABLE),
            ]

    async def _failures(self, work: Work, problem: str, code: str) -> Sequence[Outgoing]:
        """Failures in place of the outputs of a record. A session that waits for one of them gets a failure, instead
        of waiting until its call times out."""
        now = self._handling.platform.now()
        try:
            replies = [failed_reply(output, problem, now, code) for output in work.outputs]
            return await self._encode([reply for reply in replies if reply is not None])
        except Exception as error:  # noqa: BLE001
            # They carry what the outputs carried, and that may be what cannot be sent.
            logger.warning("no failure can be sent in place of an output: %s", described(error))
            return ()

    async def _report_usage(self, work: Work) -> None:
        """Sends what a handler used that ended without a reply. Raises nothing: the work has to end."""
        if work.context is None:
            return
        try:
            await work.context.report_usage()
        except BaseException as error:  # noqa: BLE001
            logger.warning("what %s used cannot be reported: %s", work.received.location, described(error))

    async def _handle(self, work: Work, message: Command | Event) -> Sequence[Outgoing]:
        handling = self._handling
        observer, now = handling.observer, handling.platform.now
        begin(Activity(f"{handling.service}, handling {type(message).__name__}"))
        context = ServiceContext(handling.service, message, handling.platform)
        work.context = context
        started = perf_counter()
        try:
            outputs = await handling.call(message, context)
        except BaseException as error:
            observer.handled(work.received, message, started, now(), type(error).__name__)
            raise
        ended_at = now()
        observer.handled(work.received, message, started, ended_at)
        observer.wrote(outputs, ended_at)
        work.outputs = outputs
        return await self._encode(outputs, observer.traceparent(message))

    async def _dead_letter(self, work: Work, error: BaseException | None = None) -> Sequence[Outgoing]:
        handling = self._handling
        failure = work.failure or failure_of(error or RuntimeError("not handled"), HANDLER_FAILED)
        stage = work.stage or HANDLE
        logger.error(
            "%s could not %s %s; the record is set aside: %s",
            handling.service,
            stage,
            work.received.location,
            failure.message,
            exc_info=unforeseen(error),
        )
        handling.platform.metrics.count(DEAD_LETTERS, service=handling.service, stage=stage)
        if not work.dead_letters:
            self._slow_down(work.partition, stage)
        if not has_dead_letter(work.received):
            return ()
        now = handling.platform.now()
        made = dead_letter(
            work.received, failure, service=handling.service, stage=stage, now=now, message=work.message
        )
        work.dead_letters += 1
        return await self._encode((made if work.dead_letters == 1 else bounded_dead_letter(made),))

    def _slow_down(self, partition: OwnedPartition, stage: str) -> None:
        """Counts a dead letter. A partition whose dead letters exceed their cap is not read for a while."""
        seconds = self._handling.dead_letters.spend(partition.position, stage)
        if seconds > 0:
            partition.slowed_until = max(partition.slowed_until, monotonic() + seconds)

    async def _encode(
        self, messages: Sequence[Message], traceparent: str | None = None
    ) -> Sequence[Outgoing]:
        """The records of messages. Retries, with backoff, while the registry is unavailable or lacks a schema."""
        encode, source = self._handling.codec.encode, self._handling.source
        delay = _INITIAL_BACKOFF_S
        while True:
            try:
                return [encode(message, source=source, traceparent=traceparent) for message in messages]
            except ContractError:
                raise
            except OrchestratorError as error:
                logger.warning("%s cannot encode its outputs yet: %s", self._handling.service, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _MAX_BACKOFF_S)

    def _complete(self, work: Work) -> None:
        self._completions.complete(work)
        self._release_key(work)

    def _abandon(self, work: Work) -> None:
        self._completions.abandon(work)
        self._release_key(work)

    def _release_key(self, work: Work) -> None:
        """The next work of its key may start."""
        if work.key is None:
            return
        queue = self._queues[work.key]
        if queue:
            self._ready.append(queue.popleft())
        else:
            del self._queues[work.key]

    def _forget_call(self, call: str, work: Work) -> None:
        same = self._running_by_call[call]
        same.discard(work)
        if not same:
            del self._running_by_call[call]


def _call_of(work: Work) -> str:
    """The call that a command requests. Events only mention one: a subscriber that counts calls counts voided
    ones too."""
    call = call_of(work.message) if isinstance(work.message, Command) else None
    return call.call_id if call else ""

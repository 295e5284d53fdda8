"""The event loop's side of a worker: starts handlers, sends what they write, and tells what became of it."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Outgoing
from orchestrator.delivery.dead_letters import HANDLE, DeadLetterCap, dead_letter, without_value
from orchestrator.delivery.failed_replies import failed_reply
from orchestrator.errors import ContractError, OrchestratorError
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.types import Call
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.roles.middleware import Next
from orchestrator.sdk.service_context import Platform, ServiceContext
from orchestrator.telemetry.metrics import DEAD_LETTERS
from orchestrator.worker.broadcast.cancellations import VoidCalls
from orchestrator.worker.observer import Observer
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.work import OwnedPartition, Reports, Work

logger: Final = logging.getLogger(__name__)

HANDLER_FAILED: Final = "handler_error"
"""Code of the failure in a dead letter whose handler raised."""
_MOST_LETTERS: Final = 2
"""The first holds the original; where that is too large for the topic, a second one says where it lies."""
_FIRST_RETRY_S: Final = 0.2
_LONGEST_RETRY_S: Final = 10.0


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
    dead_letters: DeadLetterCap
    void_calls: VoidCalls
    observer: Observer
    source: str
    """CloudEvents source of what it writes."""


class Dispatcher:
    """Runs at most `concurrency` handlers side by side; with `ordered`, those of one key one after the other.

    `submit` and `give_up` are called by the owner thread, all else runs on the event loop.
    """

    def __init__(self, handling: Handling, reports: Reports, loop: asyncio.AbstractEventLoop) -> None:
        self._handling = handling
        self._reports = reports
        self._loop = loop
        self._ready: deque[Work] = deque()
        self._running: set[Work] = set()
        self._queues: dict[bytes, deque[Work]] = {}
        """Work of a key that waits for the one before it; a key is here while any of its work is open."""
        self._by_call: dict[str, set[Work]] = {}
        self._answered: deque[tuple[Work, OrchestratorError | None]] = deque()
        """What the outbox told that the event loop has to hear of."""
        self._is_told = False

    @property
    def running(self) -> int:
        return len(self._running)

    def submit(self, batch: Sequence[Work]) -> None:
        """Takes work over; each will be reported."""
        self._loop.call_soon_threadsafe(self._admit, batch)

    def give_up(self, ownerships: Collection[OwnedPartition]) -> None:
        """Cancels the work of ownerships that have ended, but for what nobody else will run."""
        self._loop.call_soon_threadsafe(self._give_up, ownerships)

    def void(self, calls: Iterable[str]) -> None:
        """Cancels work for these calls; it is done, and what it writes is dropped."""
        for call in calls:
            for work in self._by_call.get(call, ()):
                work.is_void = True
                if work.task is not None:
                    work.task.cancel()

    def _admit(self, batch: Sequence[Work]) -> None:
        for work in batch:
            if work.key is None:
                self._ready.append(work)
            elif work.key in self._queues:
                self._queues[work.key].append(work)
            else:
                self._queues[work.key] = deque()
                self._ready.append(work)
        self._start_ready()

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < self._handling.concurrency:
            self._start(self._ready.popleft())

    def _start(self, work: Work) -> None:
        if not work.ownership.starts and not work.once:
            self._reports.end()
            self._leave(work)
            return
        call = _call_of(work)
        if call and self._handling.void_calls.includes(call):
            self._reports.end()
            self._done(work)
            return
        self._running.add(work)
        if call:
            self._by_call.setdefault(call, set()).add(work)
        work.task = self._loop.create_task(self._run(work, call))

    async def _run(self, work: Work, call: str) -> None:
        records: Sequence[Outgoing] | None = None
        try:
            records = await self._records(work)
        except asyncio.CancelledError:
            pass  # nobody else waits for this task: whoever cancelled it marked the work
        except Exception as error:
            logger.error("%s cannot go on with %s", self._handling.service, _place(work), exc_info=error)
        finally:
            self._running.discard(work)
            if call:
                self._forget_call(call, work)
            self._reports.end()
            self._conclude(work, records)
            self._start_ready()

    def _conclude(self, work: Work, records: Sequence[Outgoing] | None) -> None:
        if work.is_void:
            self._done(work)
        elif records is None or (work.ownership.is_over and not work.once):
            self._leave(work)
        elif not records:
            self._done(work)
        else:
            self._send(work, records)

    def _send(self, work: Work, records: Sequence[Outgoing]) -> None:
        self._handling.observer.sent(records)
        try:
            self._handling.outbox.send(records, partial(self._sent, work))
        except FatalError:
            self._leave(work)

    def _sent(self, work: Work, error: OrchestratorError | None) -> None:
        """On the outbox's thread. The event loop is woken only if it has to act, and once for many."""
        if work.key is None and error is None:
            self._reports.done(work)
            return
        self._answered.append((work, error))
        if not self._is_told:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._take_answers)

    def _take_answers(self) -> None:
        self._is_told = False
        while self._answered:
            work, error = self._answered.popleft()
            if error is None:
                self._done(work)
            elif not isinstance(error, ContractError):
                self._leave(work)
            elif work.letters < _MOST_LETTERS:
                work.task = self._loop.create_task(self._send_dead_letter(work, error))
            else:
                logger.error("not even a dead letter can be written for %s: %s", _place(work), error)
                self._done(work)
        self._start_ready()

    async def _send_dead_letter(self, work: Work, error: ContractError) -> None:
        """In place of outputs that no broker takes. A session that waits for one of them hears why it does not
        come, instead of waiting until its call is overdue."""
        now = self._handling.platform.now()
        try:
            instead = [failed_reply(output, str(error), now) for output in work.outputs]
            told = await self._encoded([failed for failed in instead if failed is not None])
            records = [*await self._dead_letter(work, error), *told]
        except Exception as failed:
            logger.error("no dead letter can be made for %s", _place(work), exc_info=failed)
            self._leave(work)
        else:
            self._send(work, records)

    async def _records(self, work: Work) -> Sequence[Outgoing]:
        """What is to be sent for a record: the handler's outputs, or its dead letter."""
        message = work.message
        if work.failure is not None or not isinstance(message, Command | Event):
            return await self._dead_letter(work)
        try:
            return await self._handled(work, message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this work: the handler let a cancellation of its own escape.
            return await self._dead_letter(work, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything
            return await self._dead_letter(work, error)

    async def _handled(self, work: Work, message: Command | Event) -> Sequence[Outgoing]:
        handling = self._handling
        observer, now = handling.observer, handling.platform.now
        context = ServiceContext(handling.service, message, handling.platform)
        begun = perf_counter()
        try:
            outputs = await handling.call(message, context)
        except BaseException as error:
            observer.handled(work.received, message, begun, now(), type(error).__name__)
            raise
        ended_at = now()
        observer.handled(work.received, message, begun, ended_at)
        observer.wrote(outputs, ended_at)
        work.outputs = outputs
        return await self._encoded(outputs, observer.traceparent(message))

    async def _dead_letter(self, work: Work, error: BaseException | None = None) -> Sequence[Outgoing]:
        handling = self._handling
        failure = work.failure or failure_of(error or RuntimeError("not handled"), HANDLER_FAILED)
        stage = work.stage or HANDLE
        logger.error(
            "%s could not %s %s, it goes to the dead letters: %s",
            handling.service,
            stage,
            _place(work),
            failure.message,
            exc_info=error,
        )
        handling.platform.metrics.count(DEAD_LETTERS, service=handling.service, stage=stage)
        await handling.dead_letters.admit()
        now = handling.platform.now()
        letter = dead_letter(
            work.received, failure, service=handling.service, stage=stage, now=now, message=work.message
        )
        work.letters += 1
        return await self._encoded((letter if work.letters == 1 else without_value(letter),))

    async def _encoded(
        self, messages: Sequence[Message], traceparent: str | None = None
    ) -> Sequence[Outgoing]:
        """The records of messages. Waits for a registry that does not answer or lacks a schema."""
        encode, source = self._handling.codec.encode, self._handling.source
        delay = _FIRST_RETRY_S
        while True:
            try:
                return [encode(one, source=source, traceparent=traceparent) for one in messages]
            except ContractError:
                raise
            except OrchestratorError as error:
                logger.warning("%s cannot write yet: %s", self._handling.service, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_RETRY_S)

    def _give_up(self, ownerships: Collection[OwnedPartition]) -> None:
        for work in self._running:
            if work.ownership in ownerships and not work.once and work.task is not None:
                work.task.cancel()
        # Ready work of theirs is left as soon as it comes up, which now it does.
        waiting, self._ready = self._ready, deque()
        for work in waiting:
            if work.ownership.starts or work.once:
                self._ready.append(work)
            else:
                self._reports.end()
                self._leave(work)
        self._start_ready()

    def _done(self, work: Work) -> None:
        self._reports.done(work)
        self._release(work)

    def _leave(self, work: Work) -> None:
        self._reports.left(work)
        self._release(work)

    def _release(self, work: Work) -> None:
        """The next work of its key may start."""
        if work.key is None:
            return
        queue = self._queues[work.key]
        if queue:
            self._ready.append(queue.popleft())
        else:
            del self._queues[work.key]

    def _forget_call(self, call: str, work: Work) -> None:
        same = self._by_call[call]
        same.discard(work)
        if not same:
            del self._by_call[call]


def _call_of(work: Work) -> str:
    """The call that a command asks for. Events only mention theirs: who counts them counts void ones too."""
    if not isinstance(work.message, Command):
        return ""
    call = getattr(work.message, "call", None)
    return call.call_id if isinstance(call, Call) else ""


def _place(work: Work) -> str:
    received = work.received
    return f"{received.topic}/{received.partition}/{received.offset}"

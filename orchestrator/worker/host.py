"""What all workers of one process share: event loop, outbox, definitions, voided calls."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Bus, Received
from orchestrator.clock import unix_micros
from orchestrator.delivery.caps import DeadLetterCaps
from orchestrator.delivery.dead_letters import bounded_dead_letter, dead_letter, has_dead_letter
from orchestrator.errors import ContractError, OrchestratorError
from orchestrator.messages.base import Message
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure
from orchestrator.sdk.activities import activity_of, task_factory
from orchestrator.sdk.context import Values
from orchestrator.sdk.failures import described
from orchestrator.sdk.history import ReadHistory, no_history
from orchestrator.sdk.plugins import Plugins
from orchestrator.sdk.roles.middleware import Middleware
from orchestrator.sdk.service import Service
from orchestrator.sdk.service_context import Platform
from orchestrator.telemetry.metrics import DEAD_LETTERS, ProcessMetrics
from orchestrator.telemetry.tracing import NoTracing, Tracing
from orchestrator.worker.broadcast.cancellations import CancellationsReader, VoidedCalls
from orchestrator.worker.broadcast.definitions import DefinitionsReader
from orchestrator.worker.dispatch import Handling
from orchestrator.worker.middleware import chain
from orchestrator.worker.observer import Observer
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.share import Share
from orchestrator.worker.watchdog import Watchdog, Watching

logger: Final = logging.getLogger(__name__)

BROADCAST_GROUP: Final = "orchestrator-broadcast"
"""Group id of the broadcast readers of every process. They never join the group and commit nothing."""
BROADCAST_TOPICS: Final = (Topic.DEFINITIONS, Topic.CANCELLATIONS)
_END_S: Final = 5.0
"""How long the event loop may take to end when its tasks have."""


@dataclass(frozen=True)
class ProcessContext:
    """What the handlers of a process share. `instance` distinguishes copies of a service."""

    plugins: Plugins
    values: Values
    instance: str = "0"
    metrics: ProcessMetrics = field(default_factory=ProcessMetrics)
    tracings: Mapping[str, Tracing] = field(default_factory=dict)
    """Tracing by service: in a trace each is a service of its own, even if one process runs several."""
    now: Callable[[], int] = unix_micros
    history: ReadHistory = no_history


class Host:
    """One per process. Start it before its workers, stop it after them."""

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        context: ProcessContext,
        call_ids: CallIds = UNKEYED,
        watching: Watching | None = None,
    ) -> None:
        self.bus = bus
        self.codec = codec
        self.call_ids = call_ids
        self.context = context
        self.outbox = Outbox(bus.producer())
        self.voided_calls = VoidedCalls()
        self.definitions = DefinitionsReader(bus, codec, BROADCAST_GROUP)
        self.loop = asyncio.new_event_loop()
        self.loop.set_task_factory(task_factory)
        self.loop.set_exception_handler(_report_unhandled)
        self._is_stopping = False
        self._loop_failure: FatalError | None = None
        self._cancellations = CancellationsReader(bus, codec, self.voided_calls, BROADCAST_GROUP)
        self._loop_thread = threading.Thread(target=self._run_loop, name="handlers", daemon=True)
        self._watchdog = Watchdog(self.loop, self._loop_thread, watching)

    def start(self, deadline: Deadline) -> None:
        """Returns when all definitions are loaded and cancellations are being read.

        Raises `UnavailableError` at the deadline, and if the registry does not respond.
        """
        self._loop_thread.start()
        self._watchdog.start()
        self.outbox.start()
        self.codec.expect(BROADCAST_TOPICS)
        self.definitions.start()
        self._cancellations.start()
        self.definitions.catch_up(deadline)
        self._cancellations.wait_started(deadline)

    @property
    def failure(self) -> FatalError | None:
        """Why no handler can run in this process any more; it has to be restarted."""
        return self._loop_failure or self._watchdog.failure

    def stop(self, deadline: Deadline) -> None:
        """Sends what is still queued and ends all threads, except one that a plug-in never gives back."""
        self._cancellations.stop()
        self.definitions.stop()
        self.outbox.stop(deadline)
        self._is_stopping = True
        self._watchdog.stop()
        if self._loop_thread.is_alive() and not self._end_loop(deadline):
            logger.error(
                "the event loop does not end, because of a handler that ignores its cancellation or blocks"
            )
            return
        self.loop.close()

    def _end_loop(self, deadline: Deadline) -> bool:
        """Cancels all tasks and ends the loop's thread; False if that takes longer than the deadline allows."""
        cancelling = _cancel_tasks()
        try:
            asyncio.run_coroutine_threadsafe(cancelling, self.loop).result(deadline.remaining() + 1)
        except TimeoutError:
            pass  # some task ignores it; the loop may still end
        except RuntimeError:
            cancelling.close()  # a plug-in has closed the loop
            return True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._loop_thread.join(_END_S)
        return not self._loop_thread.is_alive()

    def dead_letter(self, received: Received, failure: Failure, service: str, stage: str) -> None:
        """Sends a dead letter and waits for its acknowledgement. Not for the event loop's thread."""
        self.context.metrics.count(DEAD_LETTERS, service=service, stage=stage)
        if not has_dead_letter(received):
            logger.error("%s could not %s %s: %s", service, stage, received.location, failure.message)
            return
        made = dead_letter(received, failure, service=service, stage=stage, now=self.context.now())
        for message in (made, bounded_dead_letter(made)):
            results: SimpleQueue[OrchestratorError | None] = SimpleQueue()
            self.outbox.send([self.codec.encode(message, source=self._source(service))], results.put)
            error = results.get()
            if not isinstance(error, ContractError):
                break
        if error is not None:
            raise error

    def _source(self, service: str) -> str:
        return f"/{service}/{self.context.instance}"

    def handling(self, service: Service) -> Handling:
        """How this process handles the messages of a service."""
        source = self._source(service.name)
        observer = self._observer(service)
        share = Share(service, self.bus)
        return Handling(
            service=service.name,
            call=chain(service, self.context.plugins.by_name(Middleware).values()),
            ordered=service.ordered,
            concurrency=service.concurrency,
            platform=self._platform(service, source, observer, share),
            share=share,
            codec=self.codec,
            outbox=self.outbox,
            dead_letters=DeadLetterCaps(),
            voided_calls=self.voided_calls,
            observer=observer,
            source=source,
            is_stopping=lambda: self._is_stopping,
        )

    def _observer(self, service: Service) -> Observer:
        tracing = self.context.tracings.get(service.name, NoTracing())
        return Observer(service.name, self.context.metrics, tracing, service.consumer_group)

    def _platform(self, service: Service, source: str, observer: Observer, share: Share) -> Platform:
        context = self.context
        return Platform(
            plugins=context.plugins,
            definitions=self.definitions.table,
            values=context.values,
            emit=self._emitter(service, source),
            now=context.now,
            metrics=context.metrics,
            trace=observer.model_requested,
            share=share,
            instance=context.instance,
            history=context.history,
        )

    def _emitter(self, service: Service, source: str) -> Callable[[Message], Awaitable[None]]:
        async def emit(message: Message) -> None:
            """Returns when Kafka has acknowledged the message."""
            if not service.emits(message):
                return
            loop = asyncio.get_running_loop()
            acknowledged: asyncio.Future[None] = loop.create_future()

            def settle(error: OrchestratorError | None) -> None:
                if acknowledged.done():
                    return
                if error is None:
                    acknowledged.set_result(None)
                else:
                    acknowledged.set_exception(error)

            def on_done(error: OrchestratorError | None) -> None:
                loop.call_soon_threadsafe(settle, error)

            self.outbox.send([self.codec.encode(message, source=source)], on_done)
            await acknowledged

        return emit

    def _run_loop(self) -> None:
        """Runs the loop until the process stops, whatever plug-ins do to it."""
        asyncio.set_event_loop(self.loop)
        try:
            while not self._is_stopping:
                try:
                    self.loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as error:
                    # A callback of a plug-in: tasks are contained before. Signals go to the main thread.
                    logger.error(
                        "a callback of a plug-in raised %s; the event loop goes on",
                        described(error),
                        exc_info=error,
                    )
                else:
                    if not self._is_stopping:
                        logger.error("a plug-in stopped the event loop; it goes on")
        except BaseException as error:
            if not self._is_stopping:
                self._loop_failure = FatalError(
                    f"the event loop ended, so no handler of this process can run: {described(error)}"
                )
                logger.critical("%s; restart the process", self._loop_failure, exc_info=error)


def _report_unhandled(_loop: asyncio.AbstractEventLoop, happened: dict[str, Any]) -> None:
    """Logs what nobody awaits: an exception of a task that a plug-in started, or of a callback."""
    task = happened.get("task") or happened.get("future")
    error = happened.get("exception")
    logger.error(
        "%s: %s%s",
        activity_of(task) if isinstance(task, asyncio.Task) else "a plug-in",
        happened.get("message", "an error in the event loop"),
        f": {described(error)}" if error else "",
        exc_info=error,
    )


async def _cancel_tasks() -> None:
    """Cancels what handlers left running: tasks of their own, and generators."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()

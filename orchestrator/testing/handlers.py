"""Services in memory: the handlers of a message run concurrently, as in workers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeAlias

from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import HANDLE, dead_letter, has_dead_letter
from orchestrator.delivery.failed_replies import UNENCODABLE, failed_reply
from orchestrator.messages.base import Command, Definition, Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.sdk import (
    Middleware,
    Platform,
    Plugins,
    Service,
    ServiceContext,
    contained,
    described,
    failure_of,
)
from orchestrator.worker.dispatch import HANDLER_FAILED
from orchestrator.worker.middleware import chain

Emit: TypeAlias = Callable[[Message], Awaitable[None]]


class Handlers:
    """Runs the handlers of all services. `platform` makes what a service is given, from how it emits messages.
    `publish` gets what they write, and the name of the writer; `check` raises `ContractError` for what cannot be
    written."""

    def __init__(
        self,
        plugins: Plugins,
        platform: Callable[[Emit], Platform],
        publish: Callable[[Message, str], None],
        check: Callable[[Message], None],
    ) -> None:
        self.services = plugins.every_service()
        middleware = tuple(plugins.by_name(Middleware).values())
        self._calls = {name: chain(service, middleware) for name, service in self.services.items()}
        self._publish = publish
        self._platforms = {name: platform(self._emitter(service)) for name, service in self.services.items()}
        self._check = check
        self._running: dict[asyncio.Task[None], str] = {}
        """Running handlers, and the id of the call that each works on; empty for none."""
        self._discoveries: list[asyncio.Task[None]] = []
        self._last: dict[tuple[str, str], asyncio.Task[None]] = {}
        """The last handler of each session, by service, for ordered services."""

    def _emitter(self, service: Service) -> Emit:
        async def emit(message: Message) -> None:
            if service.emits(message):
                self._publish(message, f"/{service.name}/0")

        return emit

    async def announce(self, timeout_s: float) -> None:
        """Publishes the definitions that services announce when they start, and those that they find at first.

        What they ask may be silent for `timeout_s` seconds of real time; what comes later is published then.
        """
        for service in self.services.values():
            for definition in service.announcement(self._platforms[service.name]):
                self._publish(definition, f"/{service.name}/0")
        waiting = []
        for service in self.services.values():
            if service.discovery is not None:
                asked_once = asyncio.Event()
                found = self._discover(
                    service.name, service.discovery(self._platforms[service.name]), asked_once
                )
                self._discoveries.append(asyncio.create_task(found, name=f"{service.name} discovery"))
                waiting.append(asked_once.wait())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*waiting)

    async def _discover(
        self, service: str, discovery: AsyncIterator[Iterable[Definition]], asked_once: asyncio.Event
    ) -> None:
        try:
            async for found in discovery:
                definitions = tuple(found)
                for definition in definitions:
                    self._publish(definition, f"/{service}/0")
                if not definitions:
                    asked_once.set()
        finally:
            asked_once.set()

    def deliver(self, received: Received, message: Command | Event) -> None:
        """Starts all handlers of the message."""
        for service in self.services.values():
            if type(message) in service.handlers and service.takes(message):
                self._start(service, received, message)

    def void(self, calls: Sequence[str]) -> None:
        """Cancels handlers that work on these calls."""
        for task, call_id in self._running.items():
            if call_id in calls:
                task.cancel()

    async def quiet(self, timeout_s: float) -> bool:
        """Waits until no handler runs; False when none has ended for `timeout_s` seconds of real time."""
        while self._running:
            done, _ = await asyncio.wait(
                self._running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                return False
            for task in done:
                self._running.pop(task, None)
                if not task.cancelled():
                    task.result()
        return True

    async def close(self) -> None:
        """Cancels what is running, and waits for it to end."""
        running = (*self._running, *self._discoveries)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, service: Service, received: Received, message: Command | Event) -> None:
        earlier = self._last.get((service.name, message.correlation_id)) if service.ordered else None
        work = self._handle(service, received, message, earlier)
        task = asyncio.create_task(work, name=f"{service.name} {type(message).__name__}")
        call = call_of(message) if isinstance(message, Command) else None
        self._running[task] = call.call_id if call else ""
        if service.ordered:
            self._last[service.name, message.correlation_id] = task

    async def _handle(
        self,
        service: Service,
        received: Received,
        message: Command | Event,
        earlier: asyncio.Task[None] | None,
    ) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        context = ServiceContext(service.name, message, self._platforms[service.name])
        outputs: Sequence[Message] = ()
        try:
            outputs = await contained(self._calls[service.name](message, context))
            for output in outputs:
                self._check(output)
        except asyncio.CancelledError:
            await context.report_usage()
            raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            if not outputs:
                await context.report_usage()
            failure, now = failure_of(error, HANDLER_FAILED), context.now()
            made = dead_letter(
                received, failure, service=service.name, stage=HANDLE, now=now, message=message
            )
            failures = self._failures(outputs, error, now)
            outputs = [made, *failures] if has_dead_letter(received) else failures
        for output in outputs:
            self._publish(output, f"/{service.name}/0")

    def _failures(self, outputs: Sequence[Message], error: Exception, now: int) -> list[Message]:
        """Failures in place of the outputs, as a worker sends them."""
        problem = f"the reply cannot be sent: {described(error)}"
        replies = [failed_reply(output, problem, now, UNENCODABLE) for output in outputs]
        return [reply for reply in replies if reply is not None]

"""Publishes the definitions that exist because a service runs: those it has at its start, and those it finds later."""

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import Final

from orchestrator.errors import ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.base import Definition, Message, Record
from orchestrator.messages.catalogue import CATALOGUE, key_of
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.sdk.activities import Activity, begin
from orchestrator.sdk.containment import contained
from orchestrator.sdk.service import Discovery, Service
from orchestrator.worker.dispatch import Handling
from orchestrator.worker.host import Host

logger: Final = logging.getLogger(__name__)

_TIMEOUT_S: Final = 30.0
_RETRY_S: Final = 1.0


class Announcer:
    """The definitions of one service. What the table has already is not published again."""

    def __init__(self, service: Service, host: Host, handling: Handling) -> None:
        self._service = service
        self._host = host
        self._handling = handling
        self._discovering: Future[None] | None = None

    def start(self) -> None:
        """Looks up the schemas of all that the service may write and reads, publishes the definitions that it has, and
        begins to look for more on the host's event loop.

        Raises `UnavailableError` if Kafka does not take them in time, or the registry does not respond. Not for the
        event loop's thread.
        """
        self._host.codec.prepare(_written(self._service))
        self._host.codec.expect(self._service.topics)
        self._announce()
        if self._service.discovery is not None:
            found = self._discover(self._service.discovery)
            self._discovering = asyncio.run_coroutine_threadsafe(found, self._host.loop)

    def stop(self) -> None:
        """Looks for no more definitions. Any thread may call it."""
        if self._discovering is not None:
            self._discovering.cancel()

    def _announce(self) -> None:
        records = [
            self._host.codec.encode(definition, source=self._handling.source)
            for definition in self._service.announcement(self._handling.platform)
            if not self._host.definitions.table.has(definition)
        ]
        if records:
            sent = threading.Event()
            self._host.outbox.send(records, lambda _error: sent.set())
            if not sent.wait(_TIMEOUT_S):
                raise UnavailableError(
                    f"{self._service.name} could not publish its definitions in time: check that Kafka is reachable"
                )

    async def _discover(self, discovery: Discovery) -> None:
        begin(Activity(f"{self._service.name}, looking for definitions"))
        try:
            await contained(self._publish_found(discovery))
        except Exception:
            logger.exception("%s looks for no more definitions", self._service.name)

    async def _publish_found(self, discovery: Discovery) -> None:
        async for found in discovery(self._handling.platform):
            for definition in found:
                await self._publish(definition)

    async def _publish(self, definition: Definition) -> None:
        """Returns when the definition is written, however long Kafka takes to come back, or can never be written."""
        while not self._host.definitions.table.has(definition):
            try:
                await self._handling.platform.emit(definition)
            except ContractError as error:
                # It fails for what it is, such as too large: the ones after it must not wait for it.
                logger.error("the definition %s cannot be published: %s", key_of(definition), error)
                return
            except OrchestratorError as error:
                logger.warning("a definition was not published, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return


def _written(service: Service) -> list[type[Message] | type[Record]]:
    """All that may be written while the service's messages are handled: on the event loop nothing is looked up. Not
    only what it declares: middleware may replace a reply, and so does the platform where one cannot be sent."""
    topics = service.output_topics
    return [
        entry.message for entry in CATALOGUE if entry.topic in topics or entry.message is MessageDeadLettered
    ]

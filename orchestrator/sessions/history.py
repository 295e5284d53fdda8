"""Reads what happened in a session so far from its topics, for plug-ins."""

import asyncio
import logging
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median_low
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Bus, Received
from orchestrator.bus.standalone import read_backwards, session_partition
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk.history import History
from orchestrator.sessions.timeline import own_events, timeline

logger: Final = logging.getLogger(__name__)

TIMEOUT_S: Final = 30.0
"""How long one reading may take."""
_AT_ONCE: Final = 2
"""How many sessions a process reads at once, however many handlers ask: each takes a thread and a client."""
_CLOCK_SKEW_MS: Final = 60_000
"""How much earlier than the session a service's report may seem to be written, when clocks differ."""


def history_of(events: Iterable[Event]) -> History:
    """The history of one session from its events, given in any order; an event given twice counts once."""
    known = list(events)
    return History(tuple(own_events(known)), tuple(timeline(known)))


class HistoryReader:
    """Reads sessions from the log. Costs nothing while nobody asks.

    A session's partition is read from its end back to the session's beginning, so a reading costs what all
    sessions of the partition have written meanwhile, and at most the partition.
    """

    def __init__(self, bus: Bus, codec: Codec, timeout_s: float = TIMEOUT_S) -> None:
        self._bus = bus
        self._codec = codec
        self._timeout_s = timeout_s
        self._closing = threading.Event()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="history")

    def prepare(self) -> None:
        """Looks up the schemas of what it reads, as `Codec.expect` does."""
        self._codec.expect((Topic.SESSIONS, Topic.EVENTS))

    async def read(self, correlation_id: str) -> History:
        """The session as it was committed when the reading began.

        Records that cannot be decoded are left out and logged. Raises `UnavailableError` if the reading takes
        longer than the timeout, and when the reader is closed.
        """
        try:
            reading = self._threads.submit(self._read, correlation_id)
        except RuntimeError as error:
            raise UnavailableError(
                f"the history of session {correlation_id} cannot be read: the process stops"
            ) from error
        return await asyncio.wrap_future(reading)

    def close(self) -> None:
        """Ends all readings. Idempotent."""
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)

    def _read(self, session: str) -> History:
        deadline = Deadline.after(self._timeout_s)
        try:
            own = list(self._own(session, deadline))
            if not own:
                return History((), ())
            began_ms = min(received.timestamp_ms for received, _ in own)
            reports = list(self._reports(session, began_ms - _CLOCK_SKEW_MS, deadline))
        except UnavailableError as error:
            raise UnavailableError(f"the history of session {session} cannot be read: {error}") from error
        return history_of(event for _, event in (*own, *reports))

    def _own(self, session: str, deadline: Deadline) -> Iterator[tuple[Received, Event]]:
        """The session's own events, back to its first."""
        with closing(self._portions(Topic.SESSIONS, session, deadline)) as portions:
            for portion in portions:
                found = list(self._events_in(portion, session))
                yield from found
                if any(isinstance(event, SessionEvent) and event.sequence == 1 for _, event in found):
                    return

    def _reports(self, session: str, since_ms: int, deadline: Deadline) -> Iterator[tuple[Received, Event]]:
        """What services reported, back to a time: nothing marks their first report. A portion is older when most of its
        records are: a writer may give a record any time."""
        with closing(self._portions(Topic.EVENTS, session, deadline)) as portions:
            for portion in portions:
                yield from self._events_in(portion, session)
                if portion and median_low(received.timestamp_ms for received in portion) < since_ms:
                    return

    def _portions(
        self, topic: Topic, session: str, deadline: Deadline
    ) -> Generator[list[Received], None, None]:
        position = session_partition(self._bus, topic, session)
        return read_backwards(self._bus, position, deadline, self._closing.is_set)

    def _events_in(self, portion: Iterable[Received], session: str) -> Iterator[tuple[Received, Event]]:
        key = session.encode()
        portion = [received for received in portion if received.key == key]
        self._codec.ask(portion)
        for received in portion:
            try:
                message = self._codec.decode(received)
            except (ContractError, SchemaUnresolved) as error:
                logger.warning("%s is missing from a session's history: %s", received.location, error)
                continue
            if isinstance(message, Event):
                yield received, message

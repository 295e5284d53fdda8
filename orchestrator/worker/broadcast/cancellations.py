"""Voided calls: every copy of every worker reads of them, and the one that runs such a call cancels it."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import END, Bus, Received
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import CallsVoided
from orchestrator.worker.broadcast.ignored import IgnoredRecords
from orchestrator.worker.broadcast.reader import BroadcastReader

MAX_REMEMBERED: Final = 100_000
"""How many voided calls are remembered for commands that have not arrived yet; some 15 MB at most."""

OnVoided = Callable[[Iterable[str]], None]


class VoidedCalls:
    """The calls that were voided last. Any thread may call."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, None] = OrderedDict()
        self._subscribers: list[tuple[asyncio.AbstractEventLoop, OnVoided]] = []
        self._lock = threading.Lock()

    def includes(self, call: str) -> bool:
        return call in self._calls

    def subscribe(self, loop: asyncio.AbstractEventLoop, on_voided: OnVoided) -> None:
        """Calls `on_voided` on the loop, with the ids of calls as they are voided."""
        with self._lock:
            self._subscribers.append((loop, on_voided))

    def unsubscribe(self, on_voided: OnVoided) -> None:
        """Stops calling it."""
        with self._lock:
            self._subscribers = [subscriber for subscriber in self._subscribers if subscriber[1] != on_voided]

    def add(self, calls: Iterable[str]) -> None:
        ids = tuple(calls)
        with self._lock:
            self._calls.update(dict.fromkeys(ids))
            while len(self._calls) > MAX_REMEMBERED:
                self._calls.popitem(last=False)
            for loop, on_voided in self._subscribers:
                loop.call_soon_threadsafe(on_voided, ids)


class CancellationsReader:
    """Reads the cancellations topic from its end, in a thread of its own."""

    def __init__(self, bus: Bus, codec: Codec, voided_calls: VoidedCalls, group: str) -> None:
        self._codec = codec
        self._ignored = IgnoredRecords("cancellation")
        self._voided_calls = voided_calls
        self._reader = BroadcastReader(bus, codec, (Topic.CANCELLATIONS, END), group, self._on_record)

    def start(self) -> None:
        self._reader.start()

    def wait_started(self, deadline: Deadline) -> None:
        """Returns when calls voided from now on are noticed. Raises `UnavailableError`."""
        self._reader.wait_assigned(deadline)

    def stop(self) -> None:
        self._reader.stop()

    def _on_record(self, received: Received) -> None:
        try:
            message = self._codec.decode(received)
        except Exception as error:  # noqa: BLE001 - no record may end the reader
            self._ignored.add(received, error)
            return
        if isinstance(message, CallsVoided):
            self._voided_calls.add(message.calls)

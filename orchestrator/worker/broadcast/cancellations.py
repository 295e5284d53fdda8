"""Calls that are void: told to every copy of every worker, so that whoever runs one stops."""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import END, Bus, Received
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import CallsVoided
from orchestrator.worker.broadcast.reader import Broadcast

logger: Final = logging.getLogger(__name__)

REMEMBERED: Final = 100_000
"""How many void calls are remembered for commands that have not arrived yet; some 15 MB at most."""

OnVoid = Callable[[Iterable[str]], None]


class VoidCalls:
    """The calls that were voided lately. Any thread may ask."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, None] = OrderedDict()
        self._listeners: list[tuple[asyncio.AbstractEventLoop, OnVoid]] = []
        self._lock = threading.Lock()

    def includes(self, call: str) -> bool:
        return call in self._calls

    def listen(self, loop: asyncio.AbstractEventLoop, on_void: OnVoid) -> None:
        """Calls `on_void` on the loop, with the ids of calls as they become void."""
        with self._lock:
            self._listeners.append((loop, on_void))

    def forget(self, on_void: OnVoid) -> None:
        """Calls it no more."""
        with self._lock:
            self._listeners = [listener for listener in self._listeners if listener[1] != on_void]

    def add(self, calls: Iterable[str]) -> None:
        known = tuple(calls)
        with self._lock:
            self._calls.update(dict.fromkeys(known))
            while len(self._calls) > REMEMBERED:
                self._calls.popitem(last=False)
            for loop, on_void in self._listeners:
                loop.call_soon_threadsafe(on_void, known)


class Cancellations:
    """Reads the cancellations topic from its end, in every process by itself, without a group's offsets."""

    def __init__(self, bus: Bus, codec: Codec, void_calls: VoidCalls, group: str) -> None:
        self._codec = codec
        self._void_calls = void_calls
        self._reader = Broadcast(bus, Topic.CANCELLATIONS, END, group, self._take)

    def start(self) -> None:
        self._reader.start()

    def wait_started(self, deadline: Deadline) -> None:
        """Returns when calls that become void from now on are noticed. Raises `UnavailableError`."""
        self._reader.wait_assigned(deadline)

    def stop(self) -> None:
        self._reader.stop()

    def _take(self, received: Received) -> None:
        try:
            message = self._codec.decode(received)
        except OrchestratorError as error:
            logger.warning("a cancellation at offset %d is not understood: %s", received.offset, error)
            return
        if isinstance(message, CallsVoided):
            self._void_calls.add(message.calls)

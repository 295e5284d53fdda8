"""Submits tasks and replies and waits for the resulting events, with a client that does as little as possible."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from benchmarks.cluster import Platform
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.standalone import STANDALONE, all_partitions
from orchestrator.client.ids import new_session
from orchestrator.clock import unix_micros
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.messages.commands import SubmitTask
from orchestrator.messages.events import TaskCancelled, TaskCompleted, TaskEscalated, TaskFailed
from orchestrator.messages.identity import derived_id
from orchestrator.messages.values import json_value

TIMEOUT_S: Final = 300.0
_WAIT_S: Final = 0.1
_DRAIN: Final = 500
_COMPLETED: Final = avro_name(TaskCompleted).encode()
_OTHER_ENDS: Final = {avro_name(kind).encode() for kind in (TaskFailed, TaskCancelled, TaskEscalated)}


class Load:
    """Submits messages, and reads the events that the orchestrator writes to sessions from now on."""

    def __init__(self, platform: Platform) -> None:
        self._codec = platform.wiring.codec
        self._producer = platform.wiring.bus.producer()
        self._consumer = platform.wiring.bus.consumer(STANDALONE)
        places = all_partitions(platform.wiring.bus, Topic.SESSIONS)
        marks = self._consumer.watermarks(places, Deadline.after(TIMEOUT_S), read_uncommitted=True)
        self._consumer.assign({place: end for place, (_, end) in marks.items()})

    def tasks(self, count: int, **fields: Any) -> list[Outgoing]:
        """Encoded tasks. `fields` are further fields of `SubmitTask`."""
        return [self.encoded(_task(number, **fields)) for number in range(count)]

    def encoded(self, message: Message) -> Outgoing:
        return self._codec.encode(message, source="/benchmark")

    def submit(self, records: Sequence[Outgoing]) -> None:
        """Sends records, and returns when the broker has all of them."""
        for record in records:
            self._producer.send(record)
        left = self._producer.flush(Deadline.after(TIMEOUT_S))
        if left:
            raise RuntimeError(f"{left} records were not accepted by the broker")

    def send(self, message: Message) -> None:
        self.submit([self.encoded(message)])

    def await_completed(self, count: int) -> None:
        """Waits until `count` more sessions have completed. Raises if one ends in any other way."""
        self._await(count, _is_completed)

    def await_events(self, kind: type[Message], count: int) -> list[Received]:
        """The next `count` events of a kind, in order; skips all others."""
        name, found = avro_name(kind).encode(), list[Received]()

        def is_one(received: Received) -> bool:
            if received.header(TYPE) != name:
                return False
            found.append(received)
            return True

        self._await(count, is_one)
        return found

    def events(self) -> Iterator[Received]:
        """Events as they arrive. Raises if none arrives within the timeout."""
        deadline = Deadline.after(TIMEOUT_S)
        while not deadline.passed:
            first = self._consumer.poll(_WAIT_S)
            if first is not None:
                yield first
                yield from self._consumer.drain(_DRAIN)
                deadline = Deadline.after(TIMEOUT_S)
        raise RuntimeError(f"no event was written for {TIMEOUT_S:.0f} s")

    def close(self) -> None:
        self._producer.close()
        self._consumer.close()

    def _await(self, count: int, counts: Callable[[Received], bool]) -> None:
        deadline = Deadline.after(TIMEOUT_S)
        while count > 0:
            if deadline.passed:
                raise RuntimeError(f"{count} more events did not arrive within {TIMEOUT_S:.0f} s")
            first = self._consumer.poll(_WAIT_S)
            if first is not None:
                count -= sum(map(counts, (first, *self._consumer.drain(_DRAIN))))


def _is_completed(received: Received) -> bool:
    kind = received.header(TYPE)
    if kind in _OTHER_ENDS:
        raise RuntimeError(f"session {received.key!r} did not complete: {kind!r}")
    return kind == _COMPLETED


def _task(number: int, **fields: Any) -> SubmitTask:
    session = new_session()
    of_the_benchmark: dict[str, Any] = {
        "agent": "benchmark",
        "goal": f"benchmark {number}",
        "context": json_value({"item": number}),
    }
    return SubmitTask(
        command_id=derived_id("submit", session),
        correlation_id=session,
        occurred_at=unix_micros(),
        **(of_the_benchmark | fields),
    )

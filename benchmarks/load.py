"""Tasks handed in, and their ends awaited, by a client that does as little as can be done."""

import time
from collections.abc import Sequence
from typing import Final

from benchmarks.cluster import Platform
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.reading import LOOKING, all_of
from orchestrator.client.ids import new_session
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.messages.commands import SubmitTask
from orchestrator.messages.events import TaskCancelled, TaskCompleted, TaskEscalated, TaskFailed
from orchestrator.messages.identity import derived_id
from orchestrator.messages.values import json_value

PATIENCE_S: Final = 300.0
_WAIT_S: Final = 0.1
_AT_ONCE: Final = 500
_COMPLETED: Final = avro_name(TaskCompleted).encode()
_OTHER_ENDS: Final = {avro_name(kind).encode() for kind in (TaskFailed, TaskCancelled, TaskEscalated)}


class Load:
    """Hands tasks in and sees their sessions end."""

    def __init__(self, platform: Platform) -> None:
        self._codec = platform.wiring.codec
        self._producer = platform.wiring.bus.producer()
        self._consumer = platform.wiring.bus.consumer(LOOKING)
        places = all_of(platform.wiring.bus, Topic.SESSIONS)
        marks = self._consumer.watermarks(places, Deadline.after(PATIENCE_S), read_uncommitted=True)
        self._consumer.assign({place: end for place, (_, end) in marks.items()})

    def tasks(self, count: int) -> list[Outgoing]:
        """Tasks that are ready to be sent."""
        return [self._codec.encode(_task(number), source="/benchmark") for number in range(count)]

    def submit(self, tasks: Sequence[Outgoing]) -> None:
        for task in tasks:
            self._producer.send(task)
        left = self._producer.flush(Deadline.after(PATIENCE_S))
        if left:
            raise RuntimeError(f"{left} tasks were not taken by the broker")

    def await_completed(self, count: int) -> None:
        """Returns when so many more sessions have completed. Raises at any other end."""
        deadline = Deadline.after(PATIENCE_S)
        while count > 0:
            if deadline.passed:
                raise RuntimeError(f"{count} sessions did not end within {PATIENCE_S:.0f} s")
            first = self._consumer.poll(_WAIT_S)
            if first is not None:
                count -= sum(map(_is_completed, (first, *self._consumer.drain(_AT_ONCE))))

    def close(self) -> None:
        self._producer.close()
        self._consumer.close()


def _is_completed(received: Received) -> bool:
    kind = received.header(TYPE)
    if kind in _OTHER_ENDS:
        raise RuntimeError(f"session {received.key!r} did not complete: {kind!r}")
    return kind == _COMPLETED


def _task(number: int) -> SubmitTask:
    session = new_session()
    return SubmitTask(
        command_id=derived_id("submit", session),
        correlation_id=session,
        occurred_at=time.time_ns() // 1000,
        agent="benchmark",
        goal=f"benchmark {number}",
        context=json_value({"item": number}),
    )

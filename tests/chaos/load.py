"""Submits tasks, and tracks which of their sessions have not settled yet."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Producer as KafkaProducer

from orchestrator.app.settings import Settings, load
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.client.connection import Connected, connect
from orchestrator.messages import identity
from orchestrator.messages.base import Command
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.commands import CancelTask, SubmitTask
from orchestrator.messages.values import json_value
from tests.chaos.checker import TERMINAL
from tests.chaos.topics import UNKNOWN_SCHEMA, LiveReader
from tests.chaos.workloads import STEPS, Workload
from tests.support.installation import Installation

CANCELLED_AFTER_S: Final = 4.0
HOSTILE_EVERY: Final = 20
"""Beside one in this many tasks come records that cannot be read."""
PACKED_EVERY: Final = 200
"""Beside one in this many tasks comes a batch that unpacks to more than a process reads."""
UNPACKED: Final = 12_000_000
"""Of such a batch, in bytes: the client unpacks up to 8 MB."""
_SEND_S: Final = 60.0
_PROGRESS: Final = 50
"""Events by which the history has to grow to count as progress."""
_STALL_S: Final = 10.0
"""How long to wait for progress. A group notices within 6 s that a member has died."""


@dataclass
class Load:
    """Keeps sessions in flight."""

    installation: Installation
    live: LiveReader
    workload: Workload = STEPS
    submitted: int = 0
    open: set[str] = field(default_factory=set)
    history: int = 0
    """Events in the histories of all sessions."""

    def __post_init__(self) -> None:
        settings: Settings = load(environment=self.installation.environment)
        self._connected: Connected = connect(settings)
        self._producer: Producer = self._connected.bus.producer()
        self._packing = _packing(self.installation.address.bootstrap_servers)
        self._read = 0
        self._cancels: list[tuple[float, str]] = []

    def close(self) -> None:
        self._producer.close()
        self._connected.close()

    def top_up(self, count: int) -> None:
        """Submits as many tasks as are missing to `count` sessions in flight, and sends cancels that are due."""
        self.update()
        for _ in range(count - len(self.open)):
            self._submit(self.submitted)
            self.submitted += 1
        now = time.monotonic()
        while self._cancels and self._cancels[0][0] <= now:
            _, session = self._cancels.pop(0)
            command = identity.derived_id("cancel", session)
            self._send(CancelTask(command_id=command, correlation_id=session, occurred_at=_now()))
        self._flush()

    def flow(self, count: int, seconds: float) -> None:
        """Keeps `count` sessions in flight for `seconds`, and then until the history has grown, unless it stalls."""
        start = time.monotonic()
        seen = self.history
        while (now := time.monotonic()) < start + seconds or (
            self.history < seen + _PROGRESS and now < start + seconds + _STALL_S
        ):
            self.top_up(count)
            time.sleep(0.05)

    def pause(self, seconds: float) -> None:
        """Lets time pass without submitting anything, for example while no broker is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.update()
            time.sleep(0.05)

    def update(self) -> None:
        """Removes the sessions that have settled."""
        for record in self.live.since(self._read):
            self._read += 1
            if record.topic == "sessions":
                self.history += 1
                if record.name in {*TERMINAL, "TaskEscalated"}:
                    self.open.discard(record.session)

    def await_settled(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Waits until no session is in flight; calls `each` repeatedly meanwhile."""
        deadline = time.monotonic() + seconds
        while self.open:
            assert time.monotonic() < deadline, f"{len(self.open)} sessions have not settled: {self.open}"
            self.top_up(0)
            each()
            time.sleep(0.2)

    def _submit(self, number: int) -> None:
        session = identity.derived_id("chaos", self.installation.prefix, number)
        self._send(
            SubmitTask(
                command_id=identity.derived_id("submit", session),
                correlation_id=session,
                occurred_at=_now(),
                agent=self.workload.agent_of(number),
                goal=f"task {number}",
                context=json_value({"number": number}),
            )
        )
        self.open.add(session)
        if number % HOSTILE_EVERY == 5:
            self._send_hostile(session, number)
        if number % PACKED_EVERY == 15:
            self._send_packed(session)
        if self.workload.cancelled_every and number % self.workload.cancelled_every == 11:
            self._cancels.append((time.monotonic() + CANCELLED_AFTER_S, session))

    def _send_hostile(self, session: str, number: int) -> None:
        """Records that nobody can read, beside those of a session: an id of no schema, and no Avro at all."""
        for place, topic in enumerate((Topic.TASKS, Topic.CONTROL, Topic.EVENTS, Topic.EXECUTE_COMMANDS)):
            unknown = b"\x00" + (UNKNOWN_SCHEMA + number).to_bytes(4, "big") + b"unknown"
            value = unknown if (number + place) % 2 else b"no Avro"
            self._producer.send(Outgoing(topic, session.encode(), value, ()))

    def _send_packed(self, session: str) -> None:
        """Batches of a few hundred bytes that stand for megabytes."""
        for topic in (Topic.TASKS, Topic.EVENTS):
            self._packing.produce(f"{self.installation.prefix}{topic}", b"z" * UNPACKED, session)

    def _send(self, command: Command) -> None:
        self._producer.send(self._connected.codec.encode(command, source="/chaos"))

    def _flush(self) -> None:
        left = self._producer.flush(Deadline.after(_SEND_S)) + self._packing.flush(_SEND_S)
        assert not left, f"{left} records were not accepted by the broker within {_SEND_S:.0f} s"


def _packing(servers: str) -> KafkaProducer:
    """A producer of batches that are large unpacked."""
    limits = {"message.max.bytes": 2 * UNPACKED, "batch.size": 2 * UNPACKED}
    return KafkaProducer({"bootstrap.servers": servers, "compression.type": "zstd", **limits})


def _now() -> int:
    return time.time_ns() // 1000

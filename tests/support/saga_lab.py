"""The orchestrator's loop on a cluster: what tests send it, and what they read of its output afterwards."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.polling import poll_many
from orchestrator.bus.ports import Bus, Outgoing, Position, Reading, Start
from orchestrator.bus.values.folder import FolderValues
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.clock import unix_micros
from orchestrator.engine.loop import GROUP, LoopSettings, SagaLoop
from orchestrator.engine.state.partition import INPUT_TOPICS
from orchestrator.errors import ConfigurationError
from orchestrator.messages import commands, identity
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import Session
from tests.support.simulation import Choices, Services
from tests.support.workers import TIMEOUT_S, Lab, until

OUTPUTS = (Topic.SESSIONS, Topic.PLAN_COMMANDS, Topic.EVALUATE_COMMANDS)
"""Topics whose messages services reply to."""


@dataclass
class Profiles:
    """The agents that exist, by name."""

    found: dict[str, AgentProfile] = field(default_factory=lambda: {"default": AgentProfile(name="default")})

    def for_batch(self) -> "Profiles":
        return self

    def profile(self, name: str) -> AgentProfile | None:
        return self.found.get(name)


@dataclass
class Running:
    """A loop in a thread."""

    loop: SagaLoop
    thread: threading.Thread
    failure: Exception | None = None

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive()


HOOKS = ("observer", "on_step", "clock", "call_ids")
"""Parameters of a loop beside its settings."""


class SagaLab:
    """Runs saga loops on an installation: its topics, agents and value store."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.installation = lab
        self.bus = lab.bus
        self.codec = lab.codec
        self.values = MessageValues(FolderValues(folder))
        self.agents = Profiles()
        self.partitions = lab.settings.partitions
        # A broker knows new topics a moment after their creation.
        until(lambda: self._has(*Topic), "the topics exist")
        self._numbers = itertools.count()

    @classmethod
    def on(cls, bootstrap_servers: str, folder: Path, partitions: int = 4) -> "SagaLab":
        return cls(Lab.on(bootstrap_servers, partitions=partitions), folder)

    def _has(self, *topics: Topic) -> bool:
        try:
            return all(self.bus.partitions(topic) for topic in topics)
        except ConfigurationError:
            return False

    # -- the loop

    def loop(self, slot: int = 0, bus: Bus | None = None, **options: Any) -> SagaLoop:
        """A loop. `options` are fields of `LoopSettings`, or one of `HOOKS`."""
        hooks = {name: options.pop(name) for name in HOOKS if name in options}
        settings = LoopSettings(slot=slot, **options)
        clock = hooks.pop("clock", unix_micros)
        return SagaLoop(
            bus or self.bus, self.codec, self.values, self.agents, clock, settings=settings, **hooks
        )

    @contextmanager
    def running(self, slot: int = 0, bus: Bus | None = None, **options: Any) -> Iterator[Running]:
        """A loop that owns its partitions; stopped at the end. Raises the error that it failed with."""
        running = self.start(slot, bus, **options)
        try:
            self.until_ready(running)
            yield running
        finally:
            running.stop()
        if running.failure is not None:
            raise running.failure

    def start(self, slot: int = 0, bus: Bus | None = None, **options: Any) -> Running:
        loop = self.loop(slot, bus, **options)
        running = Running(loop, threading.Thread())

        def run() -> None:
            try:
                loop.run()
            except Exception as error:  # noqa: BLE001 - the test reads what it failed with
                running.failure = error

        running.thread = threading.Thread(target=run, daemon=True)
        running.thread.start()
        return running

    def until_ready(self, *loops: Running) -> None:
        """Waits until these loops own all partitions between them."""

        def ready() -> bool:
            for running in loops:
                if running.failure is not None:
                    raise running.failure
            owned = [number for running in loops for number in running.loop.partitions]
            is_ready = all(running.loop.ready.is_set() for running in loops)
            return is_ready and sorted(owned) == list(range(self.partitions))

        until(ready, "the loops own all partitions")

    def failure_of(self, slot: int = 0, **options: Any) -> Exception:
        """The error that ends a loop."""
        running = self.start(slot, **options)
        running.thread.join(TIMEOUT_S)
        assert running.failure is not None, "the loop is still running, or ended without an error"
        return running.failure

    # -- what it reads

    def new_id(self, partition: int | None = None) -> str:
        """The id of a new session, optionally one whose home is a given partition."""
        while True:
            found = identity.derived_id(self.installation.settings.topic_prefix, next(self._numbers))
            if partition is None or partition_of(found, self.partitions) == partition:
                return found

    def task(self, correlation_id: str = "", **fields: Any) -> commands.SubmitTask:
        name = correlation_id or self.new_id()
        made: dict[str, Any] = {
            "command_id": identity.derived_id("submit", name),
            "correlation_id": name,
            "occurred_at": unix_micros(),
            "goal": "find out",
        }
        return commands.SubmitTask(**made | fields)

    def submit(self, *names: str, **fields: Any) -> list[str]:
        """Submits a task for each session id."""
        self.send(*(self.task(name, **fields) for name in names))
        return list(names)

    def cancel(self, correlation_id: str, tenant: str = "default") -> None:
        self.send(
            commands.CancelTask(
                command_id=identity.derived_id("cancel", correlation_id, tenant),
                correlation_id=correlation_id,
                occurred_at=unix_micros(),
                tenant=tenant,
            )
        )

    def send(self, *messages: Message, partition: int | None = None) -> None:
        for message in messages:
            made = self.codec.encode(message, source="/test/0")
            self.installation.send(Outgoing(made.topic, made.key, made.value, made.headers, partition))
        self.flush()

    def send_raw(self, *records: Outgoing) -> None:
        for record in records:
            self.installation.send(record)
        self.flush()

    def flush(self) -> None:
        assert self.installation.producer.flush(Deadline.after(TIMEOUT_S)) == 0

    def reply_to(self, correlation_id: str, of: type[Any]) -> list[Message]:
        """Sends and returns what services reply to the last output of a type."""
        output = [message for message in self.outputs(correlation_id) if isinstance(message, of)][-1]
        replies = self.replies(output)
        self.send(*replies)
        return replies

    @staticmethod
    def replies(output: Any, choices: Choices | None = None) -> list[Any]:
        """What services reply to an output; all goes well unless `choices` say otherwise."""
        made = itertools.count()

        def event(kind: type[Any], **fields: Any) -> Message:
            reply: Message = kind(
                event_id=identity.derived_id("reply", output.message_id, kind.__name__, next(made)),
                correlation_id=output.correlation_id,
                causation_id=output.message_id,
                occurred_at=unix_micros(),
                agent=output.agent,
                tenant=output.tenant,
                **fields,
            )
            return reply

        return Services(event).replies(output, choices or Choices())

    @contextmanager
    def services(self, choices: Callable[[Message], Choices] = lambda _output: Choices()) -> Iterator[None]:
        """Services that reply to every output until the end."""
        stop = threading.Event()
        consumer = self.bus.consumer(Reading("services", Start.BEGINNING))
        consumer.assign(dict.fromkeys(self.places(*OUTPUTS), 0))

        def serve() -> None:
            while not stop.is_set():
                for received in poll_many(consumer, 500, 0.05):
                    output = self.codec.decode(received)
                    for reply in self.replies(output, choices(output)):
                        self.installation.send(self.codec.encode(reply, source="/test/0"))
                self.installation.producer.poll()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(TIMEOUT_S)
            consumer.close()
            self.flush()

    # -- what it wrote

    def places(self, *topics: Topic) -> list[Position]:
        return [(topic, number) for topic in topics for number in range(self.partitions)]

    def outputs(self, correlation_id: str) -> list[Message]:
        """Everything it wrote about a session: events in order, then commands."""
        return [
            message
            for topic in OUTPUTS
            for message in self.installation.messages(topic)
            if message.correlation_id == correlation_id
        ]

    def history(self, correlation_id: str) -> list[SessionEvent]:
        found = self.installation.messages(Topic.SESSIONS)
        return [event for event in found if event.correlation_id == correlation_id]

    def histories(self) -> dict[str, list[SessionEvent]]:
        found: dict[str, list[SessionEvent]] = {}
        for event in self.installation.messages(Topic.SESSIONS):
            found.setdefault(event.correlation_id, []).append(event)
        return found

    def names(self, correlation_id: str) -> list[str]:
        """Type names of the events in a session's history."""
        return [type(event).__name__ for event in self.history(correlation_id)]

    def until_history(self, correlation_id: str, name: str, count: int = 1) -> None:
        """Waits until the session's history has that many events of a type."""
        until(lambda: self.names(correlation_id).count(name) >= count, f"{name} of {correlation_id}")

    def dead_letters(self) -> list[Any]:
        return self.installation.messages(Topic.DEAD_LETTERS)

    def committed(self) -> dict[Position, tuple[int, str]]:
        consumer = self.bus.consumer(Reading(GROUP, Start.ERROR))
        try:
            return consumer.committed(self.places(*INPUT_TOPICS), Deadline.after(TIMEOUT_S))
        finally:
            consumer.close()

    def ends(self, *topics: Topic) -> dict[Position, int]:
        """End offsets, by partition."""
        consumer = self.bus.consumer(Reading("ends", Start.BEGINNING))
        try:
            marks = consumer.watermarks(self.places(*topics), Deadline.after(TIMEOUT_S))
            return {place: end for place, (_, end) in marks.items()}
        finally:
            consumer.close()


def states(*loops: Running) -> dict[str, Session]:
    """Every live session of loops that have stopped."""
    return {
        name: live.session
        for running in loops
        for partition in running.loop.partitions.values()
        for name, live in partition.live.items()
    }


def is_gapless(history: Sequence[SessionEvent]) -> bool:
    return [event.sequence for event in history] == list(range(1, len(history) + 1))


def count_ended(histories: Mapping[str, Sequence[SessionEvent]], name: str) -> int:
    """How many histories end with an event of that type."""
    return sum(type(history[-1]).__name__ == name for history in histories.values())


def bus_with(lab: SagaLab, bootstrap_servers: str = "", **kafka: str) -> KafkaBus:
    """Another bus to the same installation, with other brokers or client options."""
    from pydantic import SecretStr

    passed_through = {name.replace("_", "."): SecretStr(value) for name, value in kafka.items()}
    settings = lab.installation.settings
    changed = {"kafka": {**settings.kafka, **passed_through}}
    if bootstrap_servers:
        changed["bootstrap_servers"] = bootstrap_servers  # type: ignore[assignment]
    return KafkaBus(settings.model_copy(update=changed))

"""What tests on a broker share, embedded or real: topics of their own, tool calls, and workers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # not re-exported
from pydantic import SecretStr

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.kafka.topics import apply, plan
from orchestrator.bus.ports import Commit, Outgoing, Position, Reading, Received, Start
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages import commands, events, types
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import derived_id
from orchestrator.messages.signatures import UNSIGNED, Signatures
from orchestrator.messages.values import json_value
from orchestrator.sdk import Plugins, Service
from orchestrator.testing.memory import MemoryValues
from orchestrator.worker.host import Host, ProcessContext
from orchestrator.worker.loop import Worker, WorkerSettings

TIMEOUT_S = 120.0


def command(number: int, session: str = "") -> commands.ExecuteTool:
    """The tool call of a number, from which all its ids derive."""
    return commands.ExecuteTool(
        command_id=derived_id("test-command", number),
        correlation_id=session or derived_id("test-session", number),
        occurred_at=1,
        call=types.Call(call_id=f"call-{number}", kind=types.CallKind.TOOL, step_id=str(number), due_at=1),
        not_after=1,
        arguments=types.Document(),
        idempotency_key="",
        timeout_ms=1_000,
    )


def number_of(message: Any) -> int:
    """The number of a tool call, or of its reply."""
    return int(message.call.step_id)


def lab_settings(bootstrap_servers: str, prefix: str, partitions: int, **kafka: str) -> BusSettings:
    passed_through = {name.replace("_", "."): SecretStr(value) for name, value in kafka.items()}
    return BusSettings(
        bootstrap_servers=bootstrap_servers, topic_prefix=prefix, partitions=partitions, kafka=passed_through
    )


class Lab:
    """The topics of one test under a prefix of their own: sends tool calls, runs workers on them in this process,
    and reads what is in the topics."""

    def __init__(self, settings: BusSettings, signatures: Signatures = UNSIGNED) -> None:
        self.settings = settings
        self.bus = KafkaBus(settings)
        self.codec = Codec(CatalogueIds(), signatures=signatures)
        self.producer = self.bus.producer()

    @classmethod
    def on(cls, bootstrap_servers: str, *, partitions: int = 4, signatures: Signatures = UNSIGNED) -> Self:
        """A lab with new topics on a real cluster."""
        prefix = f"{uuid4().hex[:8]}."
        # A member learns of a rebalance from its heartbeat, by default every 3 seconds.
        lab = cls(
            lab_settings(bootstrap_servers, prefix, partitions, heartbeat_interval_ms="300"), signatures
        )
        deadline = Deadline.after(TIMEOUT_S)
        apply(plan(lab.bus.admin, lab.settings, deadline), lab.bus.admin, lab.settings, deadline)
        return lab

    def delete(self, topic: Topic) -> None:
        """Deletes a topic, as an operator may."""
        for deleted in self.bus.admin.delete_topics([self._full(topic)]).values():
            deleted.result()
        until(lambda: not self.bus.topic_ids([topic]), "the topic is deleted")

    def recreate(self, topic: Topic) -> None:
        """Deletes a topic and creates it again, empty, with as many partitions."""
        new = NewTopic(self._full(topic), self.bus.partitions(topic), 1)
        self.delete(topic)

        def is_created() -> bool:
            try:
                for created in self.bus.admin.create_topics([new]).values():
                    created.result()
            except KafkaException:
                # Brokers may still be deleting it.
                return False
            return True

        until(is_created, "the topic exists again")
        until(lambda: bool(self.bus.topic_ids([topic])), "brokers know the new topic")

    def _full(self, topic: Topic) -> str:
        return TopicNames(self.settings.topic_prefix).full(topic)

    def execute(self, *numbers: int, session: str = "", partition: int | None = None) -> None:
        """Requests the tool calls of these numbers."""
        for number in numbers:
            self.send(self.record(number, session, partition))
        assert self.producer.flush(Deadline.after(TIMEOUT_S)) == 0

    def void(self, *numbers: int) -> None:
        """Has the session of the first of these tool calls give all of them up."""
        calls = [command(number) for number in numbers]
        voided = events.CallsVoided(
            event_id=derived_id("void", *numbers),
            correlation_id=calls[0].correlation_id,
            occurred_at=1,
            calls=tuple(one.call.call_id for one in calls),
        )
        self.send(self.codec.encode(voided, source="/test/0"))

    def record(self, number: int, session: str = "", partition: int | None = None) -> Outgoing:
        made = self.codec.encode(command(number, session), source="/test/0")
        return Outgoing(made.topic, made.key, made.value, made.headers, partition)

    def send(self, record: Outgoing) -> None:
        self.producer.send(record)

    def read(self, topic: Topic) -> list[Received]:
        """All records of a topic at present."""
        return list(read_to_end(self.bus, all_partitions(self.bus, topic), TIMEOUT_S))

    def messages(self, topic: Topic) -> list[Any]:
        return [self.codec.decode(received) for received in self.read(topic)]

    def completed(self) -> list[int]:
        """The numbers of completed calls, with repetitions."""
        return sorted(
            number_of(message)
            for message in self.messages(Topic.EVENTS)
            if isinstance(message, events.ToolCompleted)
        )

    def committed(self, group: str, topic: Topic = Topic.EXECUTE_COMMANDS) -> dict[Position, Commit]:
        consumer = self.bus.consumer(Reading(group, Start.BEGINNING))
        try:
            return consumer.committed(all_partitions(self.bus, topic), Deadline.after(TIMEOUT_S))
        finally:
            consumer.close()

    @contextmanager
    def host(self, *plugins: Any, call_ids: CallIds = UNKEYED) -> Iterator[Host]:
        """The host of one process, without workers."""
        host = Host(self.bus, self.codec, ProcessContext(Plugins.of(*plugins), MemoryValues()), call_ids)
        host.start(Deadline.after(TIMEOUT_S))
        try:
            yield host
        finally:
            host.stop(Deadline.after(TIMEOUT_S))

    @contextmanager
    def running(self, service: Service, *plugins: Any, **settings: float) -> Iterator[Worker]:
        """A host with one worker that has joined its group."""
        with self.host(service, *plugins) as host, started(service, host, **settings) as worker:
            yield worker


@contextmanager
def started(service: Service, host: Host, **settings: float) -> Iterator[Worker]:
    """A worker that has joined its group; stopped at the end."""
    worker = Worker(service, host, WorkerSettings(**settings))
    worker.start()
    try:
        worker.wait_assigned(Deadline.after(TIMEOUT_S))
        yield worker
    finally:
        worker.stop(Deadline.after(TIMEOUT_S))
    assert worker.failure is None


def echo(name: str = "echo", before: Callable[[int], Any] | None = None, **options: Any) -> Service:
    """A service that completes tool calls, after awaiting `before` with the number of the call."""
    service = Service(name, **options)

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: Any) -> events.ToolCompleted:
        if before is not None:
            await before(number_of(message))
        reply: events.ToolCompleted = context.write(
            events.ToolCompleted, call=message.call, tool="echo", output=json_value(None)
        )
        return reply

    return service


def until(condition: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Waits for a condition that other threads or processes fulfil."""
    deadline = Deadline.after(timeout_s)
    while not condition():
        assert not deadline.passed, f"not within {timeout_s} s: {what}"
        time.sleep(0.005)

"""Records that were made to stop whoever reads them, on a real Kafka and registry: orchestrator, worker and sink live,
the record is set aside, and good records of the same partition are handled meanwhile."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from pydantic import SecretStr

from orchestrator.bus.avro import lookup
from orchestrator.bus.avro.primitives import write_long
from orchestrator.bus.avro.registry import RegistryIds, registry_client
from orchestrator.bus.avro.subjects import subject_of
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import LATEST_MS, Outgoing
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ContractError
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import Topic, entry_of
from orchestrator.messages.schemas import self_contained
from orchestrator.messages.types import FailureKind
from orchestrator.schemas import apply
from orchestrator.worker.broadcast.definitions import DefinitionsReader
from tests.support.raw_producer import send_raw_headers
from tests.support.saga_lab import Running, SagaLab
from tests.support.switchable_registry import SwitchableRegistry, switchable
from tests.support.topics import change_topic
from tests.support.workers import Lab, echo, number_of, started, until
from tests.unit.worker.test_sinks import MemorySink, storing

pytestmark = pytest.mark.integration

SUBMIT = entry_of(commands.SubmitTask)
SET_ASIDE_S = 3.0
QUICK = {"max.retries": SecretStr("0"), "timeout": SecretStr("5")}


@dataclass
class Platform:
    """An orchestrator, a worker and a sink on one partition, and a registry in which others register too."""

    lab: SagaLab
    settings: BusSettings
    registry: SchemaRegistryClient
    gate: SwitchableRegistry
    running: Running
    sink: MemorySink
    calls: list[int] = field(default_factory=list)

    def register(self, schema: Any, kind: str = "AVRO", subject: str = "") -> int:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        return int(
            self.registry.register_schema(subject or f"strangers-{uuid4().hex}-value", Schema(text, kind))
        )

    def send(self, topic: Topic, value: bytes | None, **fields: Any) -> None:
        made = {"key": b"k", "headers": ()} | fields
        self.lab.send_raw(Outgoing(topic, made["key"], value, made["headers"], 0))

    def completes_a_task(self) -> None:
        [session] = self.lab.submit(self.lab.new_id())
        self.lab.until_history(session, "TaskCompleted")

    def completes_a_call(self) -> None:
        number = len(self.calls)
        self.calls.append(number)
        self.lab.installation.execute(number)
        until(lambda: number in self.completed(), "the worker completes a call")
        until(lambda: number in self.sink.numbers, "the sink stores its command")

    def completed(self) -> list[int]:
        """The numbers of completed calls, among hostile records."""
        found = []
        for received in self.lab.installation.read(Topic.EVENTS):
            with suppress(ContractError, SchemaUnresolved):
                message = self.lab.codec.decode(received)
                if isinstance(message, events.ToolCompleted) and message.tool == "echo":
                    found.append(number_of(message))
        return found

    def set_aside(self, topic: Topic, offset: int) -> list[Any]:
        """The dead letters of a record."""
        return [
            each
            for each in self.lab.dead_letters()
            if (each.original.topic, each.original.offset) == (topic.value, offset)
        ]

    def end(self, topic: Topic) -> int:
        return self.lab.ends(topic)[topic, 0]


@pytest.fixture(scope="module")
def platform(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "SET_ASIDE_S", SET_ASIDE_S)
        gate = stack.enter_context(switchable(kafka_stack.schema_registry_url))
        installation = Lab.on(kafka_stack.bootstrap_servers, partitions=1)
        settings = installation.settings.model_copy(
            update={"schema_registry_url": gate.url, "schema_registry": QUICK}
        )
        direct = settings.model_copy(update={"schema_registry_url": kafka_stack.schema_registry_url})
        registry = stack.enter_context(registry_client(direct))
        apply(registry, direct)
        installation.codec = Codec(stack.enter_context(closing(RegistryIds(settings))))
        lab = SagaLab(installation, tmp_path_factory.mktemp("values"))
        sink = MemorySink()
        service = echo()
        host = stack.enter_context(installation.host(service))
        stack.enter_context(started(service, host))
        stack.enter_context(storing(sink, host))
        stack.enter_context(lab.services())
        running = stack.enter_context(lab.running())
        yield Platform(lab, settings, registry, gate, running, sink)


UNPACKED = 120_000_000
"""More than a client of Kafka takes by default, in a batch of some kilobytes."""


def send_packed(servers: str, topic: str, records: int, size: int) -> None:
    """Writes one batch of records that are all zeros."""
    limits = {"message.max.bytes": 1_000_000_000, "batch.size": 1_000_000_000, "linger.ms": 60_000}
    producer = Producer({"bootstrap.servers": servers, "compression.type": "zstd", **limits})
    failures: list[Any] = []
    for _ in range(records):
        producer.produce(topic, bytes(size), b"k", 0, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(60) == 0
    assert failures == [None] * records


def framed(schema_id: int, body: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + body


def submit_with(kind: Any) -> dict[str, Any]:
    """A stranger's schema that names its record as ours: one field more, before all others."""
    schema = json.loads(json.dumps(self_contained(SUBMIT.name)))
    return {**schema, "fields": [{"name": "more", "type": kind}, *schema["fields"]]}


CHAIN = {"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]}
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
GARBAGE = b"\x00\xff"

RECORDS: dict[str, Callable[[Platform], dict[str, Any]]] = {
    "a header of 999,600 bytes": lambda _: {"value": b"g", "headers": (("h", b"x" * 999_600),)},
    "a name of a header of 900,000 bytes": lambda _: {"value": b"g", "headers": (("n" * 900_000, b""),)},
    "a thousand headers": lambda _: {"value": b"g", "headers": (("h", b"x" * 980),) * 1_000},
    "60,000 empty headers": lambda _: {"value": b"g", "headers": (("", b""),) * 60_000},
    "a key of 990,000 bytes": lambda _: {"value": b"g", "key": b"x" * 990_000},
    "a value of 999,000 bytes": lambda _: {"value": GARBAGE * 499_500},
    "no key and no value": lambda _: {"value": None, "key": None},
    "headers without values": lambda _: {"value": b"g", "headers": (("ce_type", None), ("ce_type", None))},
    "an id of Protobuf": lambda one: {
        "value": framed(
            one.register('syntax = "proto3"; message M { string a = 1; }', "PROTOBUF"), b"\x00\n\x01a"
        )
    },
    "an id of a JSON schema": lambda one: {
        "value": framed(one.register(JSON_SCHEMA, "JSON"), b'{"goal": "g"}')
    },
    "an id of nothing": lambda _: {"value": framed(0xFFFFFFFF, b"\x00")},
    "an id of another record": lambda one: {
        "value": framed(one.register({"type": "record", "name": "Order", "fields": []}), b"")
    },
    "20,000 levels": lambda one: {
        "value": framed(one.register(submit_with(CHAIN)), b"\x02" * 20_000 + b"\x00")
    },
    "2^61 nulls": lambda one: {
        "value": framed(
            one.register(submit_with({"type": "array", "items": "null"})), write_long(1 << 61) + b"\x00" * 3
        )
    },
}


@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.CONTROL, Topic.EVENTS, Topic.EXECUTE_COMMANDS])
@pytest.mark.parametrize("name", RECORDS)
def test_a_hostile_record_is_set_aside_and_everything_goes_on(
    platform: Platform, name: str, topic: Topic
) -> None:
    fields = RECORDS[name](platform)
    offset = platform.end(topic)

    platform.send(topic, **fields)
    if topic is Topic.EXECUTE_COMMANDS:
        platform.completes_a_call()
    else:
        platform.completes_a_task()

    expected = 2 if topic is Topic.EXECUTE_COMMANDS else 1
    until(lambda: len(platform.set_aside(topic, offset)) == expected, "its dead letters")
    for dead_letter in platform.set_aside(topic, offset):
        assert dead_letter.failure.kind is FailureKind.PERMANENT
        whole = len(fields["value"] or b"") + len(fields.get("key") or b"")
        if whole < 100_000 and not fields.get("headers"):
            assert dead_letter.original.value == fields["value"]
    assert platform.running.failure is None


@pytest.mark.parametrize(
    ("topic", "records"),
    [
        (Topic.TASKS, 1),
        pytest.param(Topic.TASKS, 200, marks=pytest.mark.soak),
        pytest.param(Topic.CONTROL, 1, marks=pytest.mark.soak),
        pytest.param(Topic.CONTROL, 200, marks=pytest.mark.soak),
        pytest.param(Topic.EVENTS, 1, marks=pytest.mark.soak),
        (Topic.EVENTS, 200),
        (Topic.EXECUTE_COMMANDS, 1),
        pytest.param(Topic.EXECUTE_COMMANDS, 200, marks=pytest.mark.soak),
    ],
)
def test_a_batch_that_unpacks_to_more_than_is_read_is_set_aside(
    platform: Platform, kafka_stack: StackAddress, topic: Topic, records: int
) -> None:
    offset = platform.end(topic)
    full = f"{platform.settings.topic_prefix}{topic}"

    send_packed(kafka_stack.bootstrap_servers, full, records, UNPACKED // records)
    if topic is Topic.EXECUTE_COMMANDS:
        platform.completes_a_call()
    else:
        platform.completes_a_task()

    last = offset + records - 1
    expected = 2 if topic is Topic.EXECUTE_COMMANDS else 1
    until(lambda: len(platform.set_aside(topic, last)) == expected, "its dead letters")
    for dead_letter in platform.set_aside(topic, last):
        assert f"from offset {offset} to {last} cannot be unpacked" in dead_letter.failure.message
    assert platform.running.failure is None


@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.EVENTS])
def test_a_value_that_is_large_unpacked_is_not_carried_along(
    platform: Platform, kafka_stack: StackAddress, topic: Topic
) -> None:
    offset = platform.end(topic)
    full = f"{platform.settings.topic_prefix}{topic}"

    send_packed(kafka_stack.bootstrap_servers, full, 1, 2_500_000)
    platform.completes_a_task()

    until(lambda: len(platform.set_aside(topic, offset)) == 1, "its dead letter")
    [dead_letter] = platform.set_aside(topic, offset)
    assert "2,500,000 bytes unpacked" in dead_letter.failure.message
    assert dead_letter.original.value == b""


@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.EVENTS, Topic.EXECUTE_COMMANDS])
def test_a_header_whose_name_is_not_text_is_set_aside(
    platform: Platform, kafka_stack: StackAddress, topic: Topic
) -> None:
    offset = platform.end(topic)
    full = f"{platform.settings.topic_prefix}{topic}"
    headers = [(b"\xff\xfe", b"1"), (b"ok", b"2")]

    send_raw_headers(kafka_stack.bootstrap_servers, full, 0, b"k", b"v", headers)
    platform.completes_a_task()
    platform.completes_a_call()

    expected = 2 if topic is Topic.EXECUTE_COMMANDS else 1
    until(lambda: len(platform.set_aside(topic, offset)) == expected, "its dead letters")
    assert all("not UTF-8" in each.failure.message for each in platform.set_aside(topic, offset))


@pytest.mark.parametrize("timestamp_ms", [(1 << 63) - 1, 1 << 62, LATEST_MS + 1])
@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.CONTROL, Topic.EVENTS, Topic.EXECUTE_COMMANDS])
def test_a_record_of_an_impossible_time_is_set_aside(
    platform: Platform, kafka_stack: StackAddress, topic: Topic, timestamp_ms: int
) -> None:
    # given: brokers before Kafka 4 take any time by default
    bus, settings = platform.lab.bus, platform.settings
    change_topic(bus, settings, topic, "message.timestamp.after.max.ms", str((1 << 63) - 1))
    offset = platform.end(topic)
    stranger = Producer({"bootstrap.servers": kafka_stack.bootstrap_servers})

    stranger.produce(
        f"{settings.topic_prefix}{topic}",
        GARBAGE,
        b"k",
        0,
        timestamp=timestamp_ms,
    )
    assert stranger.flush(60) == 0
    platform.completes_a_task()
    platform.completes_a_call()

    expected = 2 if topic is Topic.EXECUTE_COMMANDS else 1
    until(lambda: len(platform.set_aside(topic, offset)) == expected, "its dead letters")
    assert {each.original.timestamp_ms for each in platform.set_aside(topic, offset)} == {LATEST_MS}
    assert platform.running.failure is None


def test_a_sound_task_with_a_header_that_fills_a_record_is_refused(platform: Platform) -> None:
    session = platform.lab.new_id()
    record = platform.lab.codec.encode(platform.lab.task(session, goal="g" * 1_500), source="/test/0")
    headers = (*record.headers, ("h", b"x" * 997_000))

    platform.send(Topic.TASKS, record.value, key=record.key, headers=headers)
    platform.completes_a_task()

    platform.lab.until_history(session, "TaskRefused")
    [refused] = platform.lab.history(session)
    assert [(part.part, part.size > 997_000) for part in refused.submitted.cut] == [("headers", True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["agent", "tenant", "goal"])
def test_a_task_with_a_name_that_fills_a_record_is_refused_or_set_aside(
    platform: Platform, name: str
) -> None:
    offset = platform.end(Topic.TASKS)
    [session] = platform.lab.submit(platform.lab.new_id(), **{name: "x" * 990_000})
    platform.completes_a_task()

    assert platform.lab.names(session) == ["TaskRefused"] or platform.set_aside(Topic.TASKS, offset)


def test_of_a_request_that_fills_a_record_the_beginning_of_its_text_is_kept(platform: Platform) -> None:
    session = platform.lab.new_id()
    cancel = commands.CancelTask(
        command_id=str(uuid4()), correlation_id=session, occurred_at=1, reason="x" * 999_300
    )
    platform.lab.send(cancel)
    platform.lab.until_history(session, "CancelRequested")

    [requested] = platform.lab.history(session)
    assert isinstance(requested, events.CancelRequested)
    assert requested.reason == "x" * 1_000


def test_a_version_of_ours_that_is_registered_meanwhile_is_read(platform: Platform) -> None:
    schema = json.loads(json.dumps(self_contained(SUBMIT.name)))
    schema["fields"].append({"name": "mood", "type": "string", "default": ""})
    schema_id = platform.register(schema, subject=subject_of(SUBMIT, platform.settings.topic_prefix))
    session = platform.lab.new_id()
    body = io.BytesIO()
    content = {"goal": "g", "mood": "good", "correlation_id": session}
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), content)

    platform.send(Topic.TASKS, framed(schema_id, body.getvalue()))

    platform.lab.until_history(session, "TaskCompleted")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, '{"error_code": 50001, "message": "broken"}'),
        (400, '{"error_code": 400, "message": "no"}'),
        (422, '{"error_code": 42202, "message": "no"}'),
        (404, "<html>no such page</html>"),
        (200, "<html>sign in</html>"),
        (401, '{"error_code": 401, "message": "no"}'),
    ],
)
def test_while_the_registry_does_not_answer_known_ids_go_on_and_others_are_set_aside(
    platform: Platform, status: int, answer: str
) -> None:
    tasks, calls = platform.end(Topic.TASKS), platform.end(Topic.EXECUTE_COMMANDS)
    platform.gate.answers["/versions"] = (status, answer)
    try:
        unknown = framed(0x7FFFFF00 + status, b"\x00")
        platform.send(Topic.TASKS, unknown)
        platform.send(Topic.EXECUTE_COMMANDS, unknown)
        platform.completes_a_call()
        platform.completes_a_task()

        for topic, offset, count in ((Topic.TASKS, tasks, 1), (Topic.EXECUTE_COMMANDS, calls, 2)):
            until(lambda: len(platform.set_aside(topic, offset)) == count, "it is set aside")  # noqa: B023
            for dead_letter in platform.set_aside(topic, offset):
                assert (dead_letter.failure.kind, dead_letter.failure.code) == (
                    FailureKind.TRANSIENT,
                    "schema_unresolved",
                )
    finally:
        platform.gate.answers.clear()
    # Then ids are looked up again.
    offset = platform.end(Topic.TASKS)
    platform.send(Topic.TASKS, framed(0x7FFFFE00 + status, b"\x00"))
    until(lambda: len(platform.set_aside(Topic.TASKS, offset)) == 1, "it is nobody's")
    [dead_letter] = platform.set_aside(Topic.TASKS, offset)
    assert dead_letter.failure.kind is FailureKind.PERMANENT


def test_a_short_outage_of_the_registry_sets_nothing_aside(platform: Platform) -> None:
    schema = json.loads(json.dumps(self_contained(SUBMIT.name)))
    schema["fields"].append({"name": "tone", "type": "string", "default": ""})
    schema_id = platform.register(schema, subject=subject_of(SUBMIT, platform.settings.topic_prefix))
    session = platform.lab.new_id()
    body = io.BytesIO()
    content = {"goal": "g", "tone": "low", "correlation_id": session}
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), content)
    asked = len(platform.gate.requests)
    platform.gate.answers["/versions"] = (503, '{"error_code": 50301, "message": "starting"}')

    platform.send(Topic.TASKS, framed(schema_id, body.getvalue()))
    until(lambda: len(platform.gate.requests) > asked, "the registry is asked")
    platform.gate.answers.clear()

    platform.lab.until_history(session, "TaskCompleted")


def test_definitions_of_strangers_do_not_keep_a_process_from_starting(platform: Platform) -> None:
    count = 300
    records = [
        Outgoing(Topic.DEFINITIONS, b"tool/%d" % n, framed(6_000_000 + n, b"\x00"), (), 0)
        for n in range(count)
    ]
    platform.lab.send_raw(*records)
    asked = len(platform.gate.requests)
    reader = DefinitionsReader(platform.lab.bus, platform.lab.codec, "starting")

    reader.start()
    try:
        reader.catch_up(Deadline.after(60))
    finally:
        reader.stop()

    # One look at the registry for each id would take minutes, and a start may take one.
    assert len(platform.gate.requests) - asked < count / 2


def test_a_flood_of_junk_does_not_delay_its_partition_for_long(platform: Platform) -> None:
    offset = platform.end(Topic.TASKS)
    records = [Outgoing(Topic.TASKS, b"k", framed(5_000_000 + n, b"\x00"), (), 0) for n in range(400)]
    platform.lab.send_raw(*records)
    asked = len(platform.gate.requests)

    platform.completes_a_task()

    assert len([each for each in platform.lab.dead_letters() if each.original.offset >= offset]) >= 400
    # 400 ids cost a few lists of one subject.
    assert len(platform.gate.requests) - asked < 100

"""A registry that hangs, or in which somebody registers without end, on a real Kafka and registry: what was known at
the start goes on, and our own schemas are always known."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import fastavro
import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from pydantic import SecretStr

from orchestrator.bus.avro import subjects
from orchestrator.bus.avro.registry import RegistryIds, registry_client
from orchestrator.bus.avro.subjects import subject_of
from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import UnavailableError
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import Topic, entry_of
from orchestrator.messages.schemas import self_contained
from orchestrator.messages.types import Call, CallKind, Failure
from orchestrator.schemas import apply
from tests.support.switchable_registry import SwitchableRegistry, switchable
from tests.support.workers import Lab, echo, started, until
from tests.unit.worker.test_sinks import MemorySink, storing

pytestmark = pytest.mark.integration

EXECUTE = entry_of(commands.ExecuteTool)
FAILED = events.PlanningFailed(
    event_id="e",
    correlation_id="0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e",
    occurred_at=1,
    call=Call(call_id="c", kind=CallKind.PLAN, due_at=0),
    failure=Failure(code="x", message="y"),
)
QUICK = {"max.retries": SecretStr("0"), "timeout": SecretStr("60")}


@dataclass
class Shared:
    """A registry that others write too, and a gate before it."""

    lab: Lab
    settings: BusSettings
    registry: SchemaRegistryClient
    gate: SwitchableRegistry
    stack: ExitStack

    def process_codec(self) -> Codec:
        """The codec of a new process, behind the gate."""
        settings = self.settings.model_copy(update={"schema_registry_url": self.gate.url})
        return Codec(self.stack.enter_context(closing(RegistryIds(settings))))

    def register(self, name: str) -> tuple[int, Any]:
        """A version of `ExecuteTool` with one field more."""
        schema = json.loads(json.dumps(self_contained(EXECUTE.name)))
        schema["fields"].append({"name": name, "type": "string", "default": ""})
        subject = subject_of(EXECUTE, self.settings.topic_prefix)
        return int(self.registry.register_schema(subject, Schema(json.dumps(schema), "AVRO"))), schema

    def execute_with(self, number: int, schema_id: int, schema: Any) -> None:
        """Requests a call in the words of another version."""
        made = self.lab.record(number)
        body = io.BytesIO()
        ours = fastavro.schemaless_reader(
            io.BytesIO((made.value or b"")[5:]), fastavro.parse_schema(self_contained(EXECUTE.name)), None
        )
        fastavro.schemaless_writer(body, fastavro.parse_schema(schema), ours)
        framed = b"\x00" + schema_id.to_bytes(4, "big") + body.getvalue()
        self.lab.send(Outgoing(made.topic, made.key, framed, made.headers, made.partition))

    def sends_poison(self) -> None:
        good = self.lab.record(0)
        self.lab.send(Outgoing(good.topic, good.key, b"poison", good.headers, 0))


@pytest.fixture
def shared(kafka_stack: StackAddress) -> Iterator[Shared]:
    with ExitStack() as stack:
        gate = stack.enter_context(switchable(kafka_stack.schema_registry_url))
        lab = Lab.on(kafka_stack.bootstrap_servers, partitions=1)
        settings = lab.settings.model_copy(
            update={
                "schema_registry_url": kafka_stack.schema_registry_url,
                "schema_registry": QUICK,
            }
        )
        registry = stack.enter_context(registry_client(settings))
        apply(registry, settings)
        lab.codec = Codec(stack.enter_context(closing(RegistryIds(settings))))
        yield Shared(lab, settings, registry, gate, stack)


def test_a_registry_that_hangs_after_the_start_changes_nothing_for_what_was_known(shared: Shared) -> None:
    lab, sink, service = shared.lab, MemorySink(), echo("a-service-that-no-catalogue-names")
    # Given the next release, which has registered its version before this process starts.
    next_release = shared.register("mood")
    outside, lab.codec = lab.codec, shared.process_codec()

    with lab.host(service) as host, started(service, host), storing(sink, host):
        lab.codec = outside
        # When the registry hangs before the first message.
        with shared.gate.hanging():
            lab.execute(1)
            shared.execute_with(2, *next_release)
            shared.sends_poison()

            # Then calls are completed, stored and dead-lettered as before.
            until(lambda: lab.completed() == [1, 2], "both calls are completed")
            until(lambda: sink.numbers == [1, 2], "both are stored")
            until(
                lambda: len(lab.read(Topic.DEAD_LETTERS)) == 2, "the poison has a dead letter of each reader"
            )


def test_a_process_does_not_start_while_the_registry_hangs(shared: Shared) -> None:
    shared.settings = shared.settings.model_copy(
        update={"schema_registry": {**QUICK, "timeout": SecretStr("0.2")}}
    )
    shared.lab.codec = shared.process_codec()
    with (
        shared.gate.hanging(),
        pytest.raises(UnavailableError, match="does not respond"),
        shared.lab.host(echo()),
    ):
        pass


def test_more_versions_than_are_read_do_not_hide_ours(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more versions after ours than are read.
    for name, number in (("_FIRST", 2), ("_AROUND_OURS", 2), ("_LAST", 4), ("MOST_VERSIONS", 10)):
        monkeypatch.setattr(subjects, name, number)
    entry = entry_of(events.PlanningFailed)
    subject = subject_of(entry, shared.settings.topic_prefix)
    for number in range(30):
        ours = self_contained(entry.name)
        more = {"name": f"more_{number}", "type": "string", "default": ""}
        schema = {**ours, "fields": [*ours["fields"], more]}
        shared.registry.register_schema(subject, Schema(json.dumps(schema), "AVRO"))
    made = shared.lab.codec.encode(FAILED, source="/planner/0")
    received = Received(made.topic, 0, 0, 0, made.key, made.value, tuple(made.headers))

    # When another process reads what this release writes, without having written it, then it is known.
    reader = shared.process_codec()
    assert reader.decode(received) == FAILED

    # And of a stranger's id it is not said that it is none of ours, for a bounded number of requests.
    stranger = msgspec.structs.replace(received, value=b"\x00\x7f\x00\x00\x00" + (received.value or b"")[5:])
    with pytest.raises(SchemaUnresolved, match="has 31 versions, of which"):
        reader.decode(stranger)
    assert len([path for path in shared.gate.requests if subject in path]) < 20

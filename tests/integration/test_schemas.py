"""Schemas in a real registry: registered once, compared, looked up by services, and used by other serializers."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from uuid import uuid4

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from orchestrator.bus.avro.registry import RegistryIds, registry_client
from orchestrator.bus.avro.subjects import schema_of, subject_of
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import CATALOGUE, Topic, entry_of
from orchestrator.messages.schemas import self_contained
from orchestrator.messages.types import Call, CallKind, Failure
from orchestrator.schemas import Finding, Outcome, apply, check

pytestmark = pytest.mark.integration

SESSION = "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e"
SUBMIT = entry_of(commands.SubmitTask)


@pytest.fixture
def settings(kafka_stack: StackAddress) -> BusSettings:
    """Settings with a test's own subjects."""
    return BusSettings(
        schema_registry_url=kafka_stack.schema_registry_url, topic_prefix=f"schemas-{uuid4().hex[:8]}."
    )


@pytest.fixture
def open_client(settings: BusSettings) -> Iterator[Callable[[], SchemaRegistryClient]]:
    """Makes clients with empty caches."""
    with ExitStack() as clients:
        yield lambda: clients.enter_context(registry_client(settings))


@pytest.fixture
def client(open_client: Callable[[], SchemaRegistryClient]) -> SchemaRegistryClient:
    return open_client()


@pytest.fixture
def open_codec(settings: BusSettings) -> Iterator[Callable[[], Codec]]:
    """Makes codecs with empty caches."""
    with ExitStack() as processes:
        yield lambda: Codec(processes.enter_context(closing(RegistryIds(settings))))


@pytest.fixture
def applied(client: SchemaRegistryClient, settings: BusSettings) -> BusSettings:
    apply(client, settings)
    return settings


def test_every_schema_is_registered_and_doing_it_again_changes_nothing(
    open_client: Callable[[], SchemaRegistryClient], settings: BusSettings
) -> None:
    first = apply(open_client(), settings)
    assert [each.outcome for each in first] == [Outcome.REGISTERED] * len(CATALOGUE)
    second = apply(open_client(), settings)
    assert [each.outcome for each in second] == [Outcome.THERE_ALREADY] * len(CATALOGUE)
    assert [each.schema_id for each in first] == [each.schema_id for each in second]
    assert check(open_client(), settings) == ()
    assert open_client().get_compatibility() == "FULL_TRANSITIVE"


def test_each_difference_is_found(
    client: SchemaRegistryClient, open_client: Callable[[], SchemaRegistryClient], applied: BusSettings
) -> None:
    # Given one subject that is gone, one that has another schema, and no compatibility.
    gone, other = (
        subject_of(CATALOGUE[0], applied.topic_prefix),
        subject_of(CATALOGUE[1], applied.topic_prefix),
    )
    for subject in (gone, other):
        client.delete_subject(subject)
    client.register_schema(other, Schema('{"type": "record", "name": "Other", "fields": []}', "AVRO"))
    client.set_compatibility(level="NONE")
    # When the catalogue is compared, each is reported.
    try:
        assert set(check(open_client(), applied)) == {
            Finding("", "the global compatibility is NONE, not FULL_TRANSITIVE"),
            Finding(gone, "the subject does not exist"),
            Finding(other, "the subject lacks this version's schema"),
        }
    finally:
        client.set_compatibility(level="FULL_TRANSITIVE")


def test_an_incompatible_version_is_refused_and_named(
    client: SchemaRegistryClient, open_client: Callable[[], SchemaRegistryClient], settings: BusSettings
) -> None:
    # Given a subject whose schema has a field with another type.
    schema = json.loads(json.dumps(self_contained(SUBMIT.name)))
    next(field for field in schema["fields"] if field["name"] == "goal")["type"] = "long"
    subject = subject_of(SUBMIT, settings.topic_prefix)
    client.register_schema(subject, Schema(json.dumps(schema), "AVRO"))
    # When ours are applied, it is refused, and all others are there.
    with pytest.raises(ConfigurationError) as refused:
        apply(open_client(), settings)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"{subject}: the schema of {SUBMIT.name} is not compatible")
    assert [finding.subject for finding in check(open_client(), settings)] == [subject]


def test_a_service_refuses_to_start_without_its_schemas(
    open_codec: Callable[[], Codec], settings: BusSettings
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_codec().prepare([events.PlanCreated, events.PlanningFailed])
    assert len(refused.value.problems) == 2
    assert f"{settings.topic_prefix}events-agents.events.PlanCreated" in refused.value.problems[0]
    assert "run `orchestrator schemas apply`" in refused.value.problems[0]


@pytest.mark.usefixtures("applied")
def test_a_message_is_decoded_by_another_process(open_codec: Callable[[], Codec]) -> None:
    message = events.PlanningFailed(
        event_id="e",
        correlation_id=SESSION,
        occurred_at=1,
        call=Call(call_id="c", kind=CallKind.PLAN, due_at=0),
        failure=Failure(code="x", message="y"),
    )
    record = open_codec().encode(message, source="/planner/0")
    assert record.value is not None
    received = Received(record.topic, 0, 0, 0, record.key, record.value, tuple(record.headers))
    assert open_codec().decode(received) == message


def test_a_message_of_another_serializer_is_decoded(
    client: SchemaRegistryClient, open_codec: Callable[[], Codec], applied: BusSettings
) -> None:
    # Given a client that knows our schema from the registry alone, and fills in the goal only.
    registered = client.get_latest_version(subject_of(SUBMIT, applied.topic_prefix)).schema
    serializer = AvroSerializer(
        client,
        registered.schema_str,
        conf={
            "auto.register.schemas": False,
            "subject.name.strategy": lambda context, name, *_: f"{context.topic}-{name}",
        },
    )
    topic = f"{applied.topic_prefix}tasks"
    value = serializer({"goal": "find it"}, SerializationContext(topic, MessageField.VALUE))
    # When it arrives without any header, it is a task.
    received = Received(Topic.TASKS, 0, 0, 0, None, value)
    assert open_codec().decode(received) == commands.SubmitTask(goal="find it")


def test_another_version_of_a_writer_is_read_by_its_schema_from_the_registry(
    client: SchemaRegistryClient, open_codec: Callable[[], Codec], applied: BusSettings
) -> None:
    schema: dict[str, Any] = json.loads(json.dumps(self_contained(SUBMIT.name)))
    schema["fields"].append({"name": "mood", "type": "string", "default": ""})
    schema_id = client.register_schema(
        subject_of(SUBMIT, applied.topic_prefix), Schema(json.dumps(schema), "AVRO")
    )
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), {"goal": "g", "mood": "good"})
    received = Received(Topic.TASKS, 0, 0, 0, None, b"\x00" + schema_id.to_bytes(4, "big") + body.getvalue())
    assert open_codec().decode(received) == commands.SubmitTask(goal="g")


@pytest.mark.usefixtures("applied")
def test_an_unknown_schema_id_is_a_contract_error(open_codec: Callable[[], Codec]) -> None:
    received = Received(Topic.TASKS, 0, 0, 0, None, b"\x00\x7f\xff\xff\xff\x00")
    codec = open_codec()
    for _ in range(2):
        with pytest.raises(ContractError, match="schema 2147483647 is none of the subjects of tasks"):
            codec.decode(received)


def test_the_schemas_of_the_wire_keep_their_documentation(
    client: SchemaRegistryClient, applied: BusSettings
) -> None:
    found = client.get_latest_version(subject_of(SUBMIT, applied.topic_prefix)).schema
    assert json.loads(found.schema_str or "") == json.loads(schema_of(SUBMIT).schema_str or "")


def test_an_unreachable_registry_is_named() -> None:
    nowhere = BusSettings(schema_registry_url="http://127.0.0.1:1")
    with (
        registry_client(nowhere) as client,
        pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:1 does not respond"),
    ):
        apply(client, nowhere)


def test_an_address_without_a_registry_is_reported(kafka_stack: StackAddress) -> None:
    wrong = BusSettings(schema_registry_url=kafka_stack.schema_registry_url + "/nothing")
    with registry_client(wrong) as client, pytest.raises(ConfigurationError, match=r"is the URL right\?"):
        check(client, wrong)

"""Records on the wire: framing, headers, other writers' schemas, and what is refused."""

import io
import json
from typing import Any
from uuid import UUID

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bus.avro.compiler import Model
from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.errors import ContractError
from orchestrator.messages import commands, events, types
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic, entry_of
from orchestrator.messages.schemas import self_contained
from orchestrator.messages.signatures import Signatures
from tests.support.avro_strategies import models

SESSION = "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e"
TOOL_STARTED = events.ToolStarted(
    event_id="e1",
    correlation_id=SESSION,
    causation_id="c1",
    occurred_at=1_790_000_000_123_456,
    call=types.Call(call_id="k", kind=types.CallKind.TOOL, due_at=0),
    worker="w",
)
SUBMIT = commands.SubmitTask(command_id="c1", correlation_id=SESSION, goal="g")


class KnownSchemas(CatalogueIds):
    """The catalogue's ids, and schemas of other writers beside them."""

    def __init__(self, **others: Any) -> None:
        self.others: dict[int | UUID, Any] = {int(key[1:]): schema for key, schema in others.items()}

    def any_schema(self, key: int | UUID) -> Any:
        return self.others[key] if key in self.others else super().any_schema(key)


def as_received(sent: Outgoing, **changes: Any) -> Received:
    received = Received(sent.topic, 0, 0, 0, sent.key, sent.value, tuple(sent.headers))
    return msgspec.structs.replace(received, **changes)


def without(received: Received, name: str) -> Received:
    kept = tuple(header for header in received.headers if header[0] != name)
    return msgspec.structs.replace(received, headers=kept)


def sent(message: Model = TOOL_STARTED) -> Received:
    return as_received(Codec(CatalogueIds()).encode(message, source="/tool-executor/0"))


def changed(message: type[Model], change: Any) -> Any:
    """A copy of a message's schema to which a change was made, as another version would have it."""
    schema = json.loads(json.dumps(self_contained(entry_of(message).name)))
    change(schema)
    return schema


def framed(schema_id: int, schema: Any, content: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), content)
    return b"\x00" + schema_id.to_bytes(4, "big") + stream.getvalue()


@settings(max_examples=120)
@given(st.sampled_from(CATALOGUE).flatmap(lambda entry: st.tuples(st.just(entry), models(entry.name))))
def test_every_message_survives_the_wire(drawn: tuple[Entry, Model]) -> None:
    entry, message = drawn
    codec = Codec(CatalogueIds())
    record = codec.encode(message, source="/test/0")
    received = as_received(record)
    assert record.topic is entry.topic
    assert Codec.type_of(received) == entry.name
    assert codec.decode(received) == message


def test_headers_are_those_of_cloudevents_and_trace_context() -> None:
    headers = dict(sent().headers)
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_type": b"agents.events.ToolStarted",
        "ce_id": b"e1",
        "ce_source": b"/tool-executor/0",
        "ce_time": b"2026-09-21T14:13:20.123456Z",
        "ce_correlationid": SESSION.encode(),
        "ce_causationid": b"c1",
        "content-type": b"application/avro",
        "traceparent": b"00-0190b2c47f3a7c1e9d2b3f4a5b6c7d8e-9d2b3f4a5b6c7d8e-01",
    }


def test_a_given_trace_context_travels_as_it_is() -> None:
    given_context = "00-0190b2c47f3a7c1e9d2b3f4a5b6c7d8e-00000000000000aa-01"
    record = Codec(CatalogueIds()).encode(TOOL_STARTED, source="/x/0", traceparent=given_context)
    assert as_received(record).header("traceparent") == given_context.encode()


def test_a_checkpoint_goes_to_its_own_partition() -> None:
    checkpoint = types.PartitionCheckpoint(
        partition=5, partition_count=8, low_water_mark=0, batch=1, state_version=1
    )
    record = Codec(CatalogueIds()).encode(checkpoint, source="/orchestrator/0")
    assert (record.topic, record.partition, record.key) == (Topic.SNAPSHOTS, 5, b"checkpoint")


def test_the_schema_id_may_be_a_guid_in_a_header() -> None:
    # Given a record as Confluent's header serializer writes it: no frame before the body, a GUID in a header.
    guid = UUID(int=7)
    schemas = KnownSchemas()
    schemas.others[guid] = self_contained("agents.events.ToolStarted")
    record = sent()
    assert record.value is not None
    bare = msgspec.structs.replace(
        record,
        value=record.value[5:],
        headers=(*record.headers, ("__value_schema_id", b"\x01" + guid.bytes)),
    )
    # Then it is read as any other.
    assert Codec(schemas).decode(bare) == TOOL_STARTED
    # And so is a GUID before the body.
    before = msgspec.structs.replace(record, value=b"\x01" + guid.bytes + record.value[5:])
    assert Codec(schemas).decode(before) == TOOL_STARTED


def test_a_signature_does_not_hold_for_a_value_that_a_header_says_how_to_read() -> None:
    # Given a signed command, and a schema in which its framing is a field and its first two texts change places.
    def otherwise(schema: Any) -> None:
        first, second, *rest = schema["fields"]
        assert first["type"] == second["type"] == "string"
        frame = {"name": "frame", "type": {"type": "fixed", "name": "Frame", "size": 5}}
        schema["fields"] = [
            frame,
            {**first, "name": second["name"]},
            {**second, "name": first["name"]},
            *rest,
        ]

    asked = commands.ExecuteTool(
        command_id="a command",
        correlation_id=SESSION,
        occurred_at=1,
        call=TOOL_STARTED.call,
        not_after=1,
        arguments=types.Document(),
        idempotency_key="",
        timeout_ms=1,
    )
    codec = Codec(
        KnownSchemas(_900=changed(commands.ExecuteTool, otherwise)), signatures=Signatures([b"k" * 32])
    )
    record = as_received(codec.encode(asked, source="/tool-selector/0"))
    assert codec.has_signed(record)
    # When somebody writes it again, to be read with that schema.
    header = ("__value_schema_id", b"\x00" + (900).to_bytes(4, "big"))
    again = msgspec.structs.replace(record, headers=(*record.headers, header))
    # Then it says something else, which nobody has signed.
    assert codec.decode(again).command_id == SESSION
    assert not codec.has_signed(again)


def test_a_schema_with_one_field_more_and_one_less_is_resolved() -> None:
    def other_version(schema: Any) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] != "worker"]
        schema["fields"].append({"name": "host", "type": "string", "default": ""})

    schema = changed(events.ToolStarted, other_version)
    content = msgspec.to_builtins(TOOL_STARTED, builtin_types=(bytes,)) | {"host": "h"}
    received = msgspec.structs.replace(sent(), value=framed(900, schema, content))
    decoded = Codec(KnownSchemas(_900=schema)).decode(received)
    assert decoded == msgspec.structs.replace(TOOL_STARTED, worker="")


def test_a_symbol_that_is_new_to_us_is_unknown() -> None:
    def with_new_kind(schema: Any) -> None:
        call = next(field for field in schema["fields"] if field["name"] == "call")["type"]
        next(field for field in call["fields"] if field["name"] == "kind")["type"]["symbols"].append("DREAM")

    schema = changed(events.ToolStarted, with_new_kind)
    content = msgspec.to_builtins(TOOL_STARTED, builtin_types=(bytes,))
    content["call"]["kind"] = "DREAM"
    received = msgspec.structs.replace(sent(), value=framed(900, schema, content))
    assert Codec(KnownSchemas(_900=schema)).decode(received).call.kind is types.CallKind.UNKNOWN


def test_a_schema_that_only_reads_differently_is_ours() -> None:
    schema = changed(events.ToolStarted, lambda schema: schema.update(doc="another text"))
    record = sent()
    assert record.value is not None
    received = msgspec.structs.replace(record, value=b"\x00\x00\x00\x03\x84" + record.value[5:])
    assert Codec(KnownSchemas(_900=schema)).decode(received) == TOOL_STARTED


@pytest.mark.parametrize(
    "message", [SUBMIT, commands.CancelTask(command_id="x", correlation_id=SESSION, occurred_at=0)]
)
def test_third_parties_need_no_type_header(message: Model) -> None:
    received = without(sent(message), "ce_type")
    assert Codec.type_of(received) is None
    assert Codec(CatalogueIds()).decode(received) == message


def _bad_symbol(record: Received) -> bytes:
    # The call's kind is the first byte behind its id "k".
    assert record.value is not None
    at = record.value.index(b"\x02k") + 2
    return record.value[:at] + b"\x7e" + record.value[at + 1 :]


@pytest.mark.parametrize(
    ("received", "says"),
    [
        (as_received(Codec(CatalogueIds()).encode(SUBMIT, source="/x"), value=None), "no body"),
        (without(sent(), "ce_type"), "no header ce_type"),
        (
            as_received(Codec(CatalogueIds()).encode(SUBMIT, source="/x"), topic=Topic.EVENTS),
            "belongs in tasks",
        ),
        (msgspec.structs.replace(sent(), value=b'{"goal": "json"}'), "does not begin with a schema id"),
        (msgspec.structs.replace(sent(), value=b"\x00\x00"), "does not begin with a schema id"),
        (msgspec.structs.replace(sent(), value=b"\x00\x00\x00\xff\xff\x00"), "schema 65535 not found"),
        (msgspec.structs.replace(sent(), value=(sent().value or b"") + b"\x00"), "has 1 extra bytes"),
        (msgspec.structs.replace(sent(), value=(sent().value or b"")[:-1]), "is too short"),
        (msgspec.structs.replace(sent(), value=(sent().value or b"")[:20]), "does not fit the schema"),
        (msgspec.structs.replace(sent(), value=_bad_symbol(sent())), "does not fit the schema"),
        (
            msgspec.structs.replace(sent(), headers=(("ce_type", b"agents.events.ToolFailed"),)),
            "says agents.events.ToolFailed, the body's schema is agents.events.ToolStarted",
        ),
    ],
)
def test_a_record_that_is_not_a_message_is_refused_with_the_reason(received: Received, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        Codec(CatalogueIds()).decode(received)


def test_a_schema_of_another_name_is_refused() -> None:
    stranger = {"type": "record", "name": "Order", "namespace": "shop", "fields": []}
    received = msgspec.structs.replace(sent(), value=b"\x00\x00\x00\x03\x84")
    with pytest.raises(ContractError, match=r"shop\.Order, which is not in the catalogue"):
        Codec(KnownSchemas(_900=stranger)).decode(received)


def test_a_schema_that_cannot_be_resolved_to_ours_is_refused() -> None:
    schema = changed(events.ToolStarted, lambda schema: schema["fields"][0].update(type="double"))
    content = msgspec.to_builtins(TOOL_STARTED, builtin_types=(bytes,)) | {"event_id": 1.0}
    received = msgspec.structs.replace(sent(), value=framed(900, schema, content))
    with pytest.raises(ContractError, match=r"does not fit the schema of agents\.events\.ToolStarted"):
        Codec(KnownSchemas(_900=schema)).decode(received)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (msgspec.structs.replace(TOOL_STARTED, worker=7), r"Expected `str`, got `int` - at `\$.worker`"),
        (msgspec.structs.replace(TOOL_STARTED, occurred_at=1 << 70), "out of range|does not fit"),
        (commands.SubmitTask(goal="g"), "without its correlation id"),
        (msgspec.structs.replace(SUBMIT, labels={"a": None}), r"Expected `str`, got `null`"),
    ],
)
def test_a_message_that_does_not_fit_is_not_sent(message: Model, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        Codec(CatalogueIds()).encode(message, source="/x/0")

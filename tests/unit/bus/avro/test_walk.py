"""Bodies and schemas that were made to stop whoever reads them."""

import io
import struct
import time
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.bus.avro.compiler import Model, compiled
from orchestrator.bus.avro.primitives import write_long
from orchestrator.bus.avro.resolution import content_of, plain, reader_of
from orchestrator.bus.avro.walk import MAX_DEPTH, Walk
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.errors import ContractError
from orchestrator.messages import commands
from orchestrator.messages.catalogue import CATALOGUE, Topic, avro_name, entry_of
from orchestrator.messages.schemas import declared, self_contained
from tests.support.avro_strategies import models
from tests.unit.bus.test_codec import KnownSchemas

SUBMIT = "agents.commands.SubmitTask"
HUGE = (1 << 61, (1 << 63) - 1, -(1 << 61), -(1 << 63))


def submit_with(kind: Any) -> dict[str, Any]:
    """A schema that names its record SubmitTask, with one field more."""
    schema = plain(self_contained(SUBMIT))
    return {**schema, "fields": [{"name": "more", "type": kind}, *schema["fields"]]}


RECURSIVE = {
    "type": "record",
    "name": "Chain",
    "fields": [{"name": "next", "type": ["null", "Chain"], "default": None}],
}
EMPTY = {"type": "record", "name": "Empty", "fields": []}
ENDLESS = {"type": "record", "name": "Endless", "fields": [{"name": "self", "type": "Endless"}]}
WIDE = {
    "type": "record",
    "name": "Wide",
    "fields": [{"name": f"f{number}", "type": "null"} for number in range(5_000)],
}
HOSTILE = {
    "20,000 levels": (RECURSIVE, b"\x02" * 20_000 + b"\x00"),
    "a million levels": (RECURSIVE, b"\x02" * 999_000),
    "no end": (ENDLESS, b""),
    "wide items": ({"type": "array", "items": WIDE}, write_long(900) + b"\x00"),
    **{
        f"{kind} of {items if isinstance(items, str) else items['name']}, {count}": (
            {"type": kind, "items" if kind == "array" else "values": items},
            write_long(count) + b"\x00" * 10,
        )
        for kind in ("array", "map")
        for items in ("null", EMPTY)
        for count in HUGE
    },
    "a fixed of a terabyte": ({"type": "fixed", "name": "F", "size": 1 << 40}, b"x"),
    "a string of 2^61": ("string", write_long(1 << 61) + b"x"),
    "bytes of a negative length": ("bytes", write_long(-1) + b"x"),
    "a branch that is not there": (["null", "int"], write_long(7)),
    "a block of another size": (
        {"type": "array", "items": "int"},
        write_long(-1) + write_long(99) + b"\x02\x00",
    ),
    "a number without an end": ("long", b"\xff" * 900_000),
    "an int of 64 bits": ("int", write_long(1 << 62)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_foreign_schema_reads_no_body_without_bounds(case: str) -> None:
    kind, body = HOSTILE[case]
    read = reader_of(submit_with(kind))
    began = time.process_time()

    with pytest.raises(ContractError):
        read(body, 0)
    with pytest.raises(ContractError):
        content_of(submit_with(kind), body)

    assert time.process_time() - began < 5


@pytest.mark.parametrize("case", HOSTILE)
def test_such_a_record_is_a_contract_error(case: str) -> None:
    kind, body = HOSTILE[case]
    codec = Codec(KnownSchemas(_900=submit_with(kind)))

    with pytest.raises(ContractError):
        codec.decode(Received(Topic.TASKS, 0, 0, 0, None, struct.pack(">bI", 0, 900) + body))


def test_as_many_values_as_a_large_body_may_have_take_seconds_at_most() -> None:
    body = write_long(900_000) + b"\x02" * 900_000 + b"\x00"
    began = time.process_time()

    assert Walk({"type": "array", "items": "int"}).end(body, 0) == len(body)
    with pytest.raises(ContractError, match="more values"):
        Walk({"type": "array", "items": "null"}).end(write_long(2_500_000) + b"\x00" * 900_000, 0)

    assert time.process_time() - began < 10


def test_depth_up_to_the_bound_is_read() -> None:
    schema = fastavro.parse_schema(RECURSIVE)
    # Each level is a record and a union.
    levels = MAX_DEPTH // 2 - 1
    body = b"\x02" * levels + b"\x00"

    assert Walk(schema).end(body, 0) == len(body)
    with pytest.raises(ContractError, match="nested deeper"):
        Walk(schema).end(b"\x02" + body, 0)


@given(st.sampled_from([entry.name for entry in CATALOGUE]).flatmap(models))
def test_a_walk_takes_what_every_message_takes(message: Model) -> None:
    name = avro_name(type(message))
    body = bytearray()
    compiled(name).write(message, body)
    schema = fastavro.parse_schema(plain(self_contained(name)))

    assert Walk(schema).end(bytes(body), 0) == len(body)


@given(st.binary(max_size=300), st.sampled_from([entry.name for entry in CATALOGUE]))
def test_garbage_is_refused_or_takes_its_bytes(body: bytes, name: str) -> None:
    schema = fastavro.parse_schema(plain(self_contained(name)))
    try:
        end = Walk(schema).end(body, 0)
    except ContractError:
        return
    stream = io.BytesIO(body)
    try:
        fastavro.schemaless_reader(stream, schema, None)
    except Exception:  # noqa: BLE001 - such as text that is not UTF-8, which a walk does not read
        return
    assert stream.tell() == end


def test_no_item_of_ours_takes_no_bytes() -> None:
    """The compiled reader loops as often as a count says: each turn has to use up bytes."""
    schemas = [declared(entry.name) for entry in CATALOGUE]
    seen: set[str] = set()
    while schemas:
        schema = schemas.pop()
        assert schema["type"] == "enum" or schema["fields"], f"{schema['name']} has no fields"
        for kind in _types(schema):
            assert kind != "null"
            if "." in kind and kind not in seen:
                seen.add(kind)
                schemas.append(declared(kind))


def _types(schema: Any) -> list[str]:
    found: list[str] = []
    for field in schema.get("fields", ()):
        kinds = [field["type"]]
        while kinds:
            kind = kinds.pop()
            if isinstance(kind, list):
                assert kind[0] == "null"
                kinds += kind[1:]
            elif isinstance(kind, dict):
                kinds.append(kind.get("items") or kind.get("values") or kind["type"])
            else:
                found.append(kind)
    return found


@pytest.mark.parametrize("count", HUGE)
def test_the_compiled_reader_ends_where_the_bytes_end(count: int) -> None:
    # A task without anything but labels, and more of them than there are bytes.
    body = bytearray()
    compiled(SUBMIT).write(commands.SubmitTask(goal="g"), body)
    began = time.process_time()
    for at in range(len(body)):
        try:
            compiled(SUBMIT).read(bytes(body[:at]) + write_long(count) + bytes(body[at + 1 :]), 0)
        except Exception:  # noqa: BLE001, S112 - it has to end, one way or another
            continue
    assert time.process_time() - began < 10


def test_a_compatible_version_is_still_read() -> None:
    schema = submit_with(["null", {"type": "array", "items": RECURSIVE}])
    parsed = fastavro.parse_schema(schema)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, parsed, {"goal": "g", "more": [{"next": {"next": None}}]})

    message, end = reader_of(schema)(stream.getvalue(), 0)

    assert (message, end) == (commands.SubmitTask(goal="g"), len(stream.getvalue()))
    assert entry_of(commands.SubmitTask).name == SUBMIT


def test_a_decimal_of_a_megabyte_is_shown_as_bytes() -> None:
    schema = {
        "type": "record",
        "name": "Price",
        "fields": [
            {
                "name": "amount",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 9_999_999, "scale": 2},
            }
        ],
    }
    body = write_long(900_000) + b"\x7f" * 900_000
    began = time.process_time()

    assert content_of(schema, body) == {"amount": b"\x7f" * 900_000}

    assert time.process_time() - began < 5

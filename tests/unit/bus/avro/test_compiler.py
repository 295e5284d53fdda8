"""The compiled encoding is Avro's: fastavro writes the same bytes and reads them back."""

import io

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bus.avro.compiler import READ_ERRORS, WRITE_ERRORS, Model, compiled
from orchestrator.bus.avro.resolution import plain
from orchestrator.messages.catalogue import CATALOGUE, avro_name
from orchestrator.messages.schemas import self_contained
from orchestrator.messages.types import Limits, RetryPolicy, Usage
from tests.support.avro_strategies import models

EVERY_MESSAGE = st.one_of([models(entry.name) for entry in CATALOGUE])
PARSED = {entry.name: fastavro.parse_schema(plain(self_contained(entry.name))) for entry in CATALOGUE}


def written(message: Model) -> bytes:
    out = bytearray()
    compiled(avro_name(type(message))).write(message, out)
    return bytes(out)


def written_by_fastavro(message: Model) -> bytes:
    stream = io.BytesIO()
    content = msgspec.to_builtins(message, builtin_types=(bytes,))
    fastavro.schemaless_writer(stream, PARSED[avro_name(type(message))], content)
    return stream.getvalue()


@settings(max_examples=120)
@given(EVERY_MESSAGE)
def test_every_message_has_the_bytes_that_fastavro_gives_it(message: Model) -> None:
    assert written(message) == written_by_fastavro(message)


@settings(max_examples=120)
@given(EVERY_MESSAGE)
def test_every_message_is_read_back_to_its_last_byte(message: Model) -> None:
    encoded = written(message)
    assert compiled(avro_name(type(message))).read(b"\x00" + encoded, 1) == (message, len(encoded) + 1)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_each_message_of_the_catalogue_compiles(entry) -> None:  # type: ignore[no-untyped-def]
    assert compiled(entry.name).model is entry.message


@given(EVERY_MESSAGE, st.data())
def test_bytes_that_end_early_are_never_taken_for_a_message(message: Model, data: st.DataObject) -> None:
    encoded = written(message)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    try:
        _, end = compiled(avro_name(type(message))).read(cut, 0)
    except READ_ERRORS:
        return
    assert end > len(cut)


@given(st.sampled_from(CATALOGUE), st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_read_errors(entry, garbage: bytes) -> None:  # type: ignore[no-untyped-def]
    try:
        _, end = compiled(entry.name).read(garbage, 0)
    except READ_ERRORS:
        return
    assert end > 0


def test_blocks_with_their_size_are_read_as_other_writers_write_them() -> None:
    # Given a tool policy whose first list comes in one block of two items with its size, as Java may write it.
    items = b"\x02a\x02b"
    encoded = b"\x03" + bytes([len(items) << 1]) + items + b"\x00" + b"\x00"
    # When it is read, the items are there.
    policy, end = compiled("agents.types.ToolPolicy").read(encoded, 0)
    assert policy.allow == ("a", "b")
    assert end == len(encoded)


@pytest.mark.parametrize("record", [Usage(), RetryPolicy(), Limits()])
def test_defaults_are_one_instance_and_no_other_value_is_taken_for_them(record: Model) -> None:
    read = compiled(avro_name(type(record))).read
    assert read(written(record), 0)[0] is read(written(record), 0)[0]
    other = msgspec.structs.replace(record, **{type(record).__struct_fields__[0]: 7})
    assert read(written(other), 0)[0] == other


@pytest.mark.parametrize(
    "wrong",
    [
        Usage(tool_calls="1"),  # type: ignore[arg-type]
        Usage(tool_calls=1 << 63),
        Usage(tool_calls=None),  # type: ignore[arg-type]
        RetryPolicy(multiplier="2"),  # type: ignore[arg-type]
        RetryPolicy(attempts=1 << 31),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(wrong: Model) -> None:
    with pytest.raises(WRITE_ERRORS):
        written(wrong)

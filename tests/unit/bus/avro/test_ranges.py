"""Numbers that no field may hold are refused, where they are written and where they are read."""

import io
import json
import struct
from typing import Any

import fastavro
import pytest
from msgspec.structs import replace

from orchestrator.bus.avro import primitives
from orchestrator.bus.avro.resolution import plain, reader_of
from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.errors import ContractError
from orchestrator.messages import events
from orchestrator.messages.bounds import LONGEST_MS
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.messages.ranges import INT, LATEST, LONG, range_of
from orchestrator.messages.schemas import SCHEMA_ROOT, declared, self_contained
from orchestrator.messages.types import Usage
from orchestrator.messages.usage import total_usage
from tests.support.samples import sample_of

CODEC = Codec(CatalogueIds())


def written(usage: Usage, **fields: Any) -> Outgoing:
    return CODEC.encode(sample_of(events.ToolCompleted, usage=usage, **fields), source="/test")


def read(record: Outgoing, value: bytes | None = None) -> Any:
    return CODEC.decode(Received(record.topic, 0, 0, 0, record.key, value or record.value, record.headers))


@pytest.mark.parametrize("tokens", [-1, LONG + 1, 2**62])
def test_a_number_out_of_range_is_not_written(tokens: int) -> None:
    with pytest.raises(ContractError, match="tokens_input"):
        written(Usage(tokens_input=tokens))


@pytest.mark.parametrize("tokens", [2**62, -(2**62), LONG + 1])
def test_a_number_out_of_range_is_not_read(tokens: int) -> None:
    """As a program writes it that does not know the range."""
    marked = written(Usage(tokens_input=123_456_789))
    before, after = primitives.write_long(123_456_789), primitives.write_long(tokens)
    assert marked.value is not None
    assert marked.value.count(before) == 1

    with pytest.raises(ContractError, match="tokens_input is"):
        read(marked, marked.value.replace(before, after))


def test_schemas_and_profiles_bound_durations_alike() -> None:
    maxima = {
        field["maximum"]
        for path in SCHEMA_ROOT.rglob("*.avsc")
        for field in json.loads(path.read_text()).get("fields", ())
        if field["name"].endswith("_ms") and "maximum" in field
    }

    assert maxima == {LONGEST_MS}


def test_the_largest_numbers_are_written_and_read() -> None:
    usage = Usage(tokens_input=LONG, tool_calls=INT)
    assert read(written(usage, occurred_at=LATEST)).usage == usage


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_double_is_a_number(number: float) -> None:
    message = sample_of(events.ToolProgressed, fraction=0.625)
    record = CODEC.encode(message, source="/test")
    with pytest.raises(ContractError, match="fraction"):
        CODEC.encode(replace(message, fraction=number), source="/test")
    assert record.value is not None
    forged = record.value.replace(struct.pack("<d", 0.625), struct.pack("<d", number))
    with pytest.raises(ContractError, match="fraction"):
        read(record, forged)


def test_sums_stay_in_range() -> None:
    most = Usage(tool_calls=INT, tokens_input=LONG, cost_micro_usd=LONG, duration_ms=LONG)
    assert total_usage(most, most, Usage(tokens_output=1)) == replace(most, tokens_output=1)


def test_every_number_has_a_range() -> None:
    kinds = {"int", "long", "double", "timestamp-micros"}
    for entry in CATALOGUE:
        for field in declared(entry.name)["fields"]:
            is_number = any(f"'{kind}'" in str([field["type"]]) for kind in kinds)
            is_plain = not isinstance(field["type"], dict) or "logicalType" in field["type"]
            assert (range_of(field) is not None) == (is_number and is_plain), (entry.name, field["name"])


def test_a_number_out_of_range_is_not_read_with_another_writers_schema() -> None:
    theirs = plain(json.loads(json.dumps(self_contained("agents.commands.SubmitTask"))))
    theirs["fields"].append({"name": "mood", "type": "string"})
    stream = io.BytesIO()
    task = {"goal": "wait", "mood": "calm", "not_before": 2**62}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(theirs), task)

    with pytest.raises(ValueError, match="not_before is"):
        reader_of(theirs)(stream.getvalue(), 0)

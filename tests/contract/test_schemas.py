"""Rules of all schemas: they evolve under full compatibility, and people can read them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import CATALOGUE, Entry
from orchestrator.messages.schemas import SCHEMA_ROOT, Schema, _inlined, declared, self_contained

ROOT = Path(__file__).parents[2]
FILES = sorted(SCHEMA_ROOT.rglob("*.avsc"))
PRIMITIVES = {"string", "long", "int", "double", "boolean", "bytes"}
UNITS = {
    "_ms": "millisecond",
    "_micro_usd": "millionth",
    "size": "byte",
}
"""What a field's name ends with, and the word that its documentation then has."""
TIMES = re.compile(r"(.*_at|not_before|not_after)")
"""Names of points in time, which are timestamps. `at` alone is a JSON pointer."""


def read(path: Path) -> Schema:
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema


def named(path: Path) -> str:
    return path.relative_to(SCHEMA_ROOT).as_posix()


RECORDS = [pytest.param(read(path), id=named(path)) for path in FILES if read(path)["type"] == "record"]
ENUMS = [pytest.param(read(path), id=named(path)) for path in FILES if read(path)["type"] == "enum"]
ENTRIES = [pytest.param(entry, id=entry.message.__name__) for entry in CATALOGUE]


def types_in(avro: Any) -> Iterator[Any]:
    """A field's type and the types inside it."""
    yield avro
    match avro:
        case list():
            for branch in avro:
                yield from types_in(branch)
        case {"items": inner} | {"values": inner}:
            yield from types_in(inner)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_holds_the_one_type_that_it_is_named_after(path: Path) -> None:
    schema = read(path)
    assert f"{schema['namespace']}.{schema['name']}" == f"agents.{path.parent.name}.{path.stem}"
    for field in schema.get("fields", ()):
        for inner in types_in(field["type"]):
            assert not (isinstance(inner, dict) and "name" in inner), (
                f"{field['name']} declares a type inside"
            )


@pytest.mark.parametrize("schema", [*RECORDS, *ENUMS])
def test_every_type_and_field_is_documented(schema: Schema) -> None:
    assert schema["doc"].endswith(".")
    for field in schema.get("fields", ()):
        assert field.get("doc", "").endswith("."), f"say what {field['name']} is"


@pytest.mark.parametrize("schema", RECORDS)
def test_quantities_say_their_unit(schema: Schema) -> None:
    for field in schema["fields"]:
        for ending, unit in UNITS.items():
            if field["name"].endswith(ending):
                assert unit in field["doc"].lower(), f"{field['name']}: in {unit}s?"


@pytest.mark.parametrize("schema", RECORDS)
def test_points_in_time_are_timestamps_in_microseconds(schema: Schema) -> None:
    for field in schema["fields"]:
        logical = [
            inner["logicalType"]
            for inner in types_in(field["type"])
            if isinstance(inner, dict) and "logicalType" in inner
        ]
        is_time = TIMES.fullmatch(field["name"]) is not None
        assert logical == (["timestamp-micros"] if is_time else []), field["name"]


@pytest.mark.parametrize("schema", ENUMS)
def test_every_enum_has_the_default_unknown(schema: Schema) -> None:
    """An old reader then understands a message with a new symbol."""
    assert schema["default"] == "UNKNOWN"
    assert schema["symbols"][0] == "UNKNOWN"


@pytest.mark.parametrize("schema", ENUMS)
def test_an_old_reader_reads_a_new_symbol_as_unknown(schema: Schema) -> None:
    newer = fastavro.parse_schema({**schema, "symbols": [*schema["symbols"], "SOMETHING_NEW"]})
    body = written(newer, "SOMETHING_NEW")
    assert fastavro.schemaless_reader(body, newer, fastavro.parse_schema(schema)) == "UNKNOWN"


@pytest.mark.parametrize("schema", RECORDS)
def test_there_are_no_unions_but_nullable_ones(schema: Schema) -> None:
    for field in schema["fields"]:
        for inner in types_in(field["type"]):
            if isinstance(inner, list):
                assert inner is field["type"], f"{field['name']} has a union inside"
                assert inner[0] == "null"
                assert len(inner) == 2
                assert field["default"] is None, f"{field['name']} is nullable: its default is null"


@pytest.mark.parametrize("schema", RECORDS)
def test_collections_are_empty_by_default(schema: Schema) -> None:
    for field in schema["fields"]:
        if isinstance(field["type"], dict) and field["type"]["type"] in ("array", "map"):
            assert field["default"] in ([], {}), f"{field['name']} has no default"


@pytest.mark.parametrize("schema", RECORDS)
def test_only_types_of_the_contract_are_used(schema: Schema) -> None:
    known = (
        PRIMITIVES | {"null"} | {f"agents.types.{path.stem}" for path in FILES if path.parent.name == "types"}
    )
    for field in schema["fields"]:
        names = {inner for inner in types_in(field["type"]) if isinstance(inner, str)}
        assert names <= known, f"{field['name']} uses {names - known}"


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_message_parses_self_contained(entry: Entry) -> None:
    parsed = fastavro.parse_schema(self_contained(entry.name))
    assert isinstance(parsed, dict)
    assert parsed["name"] == entry.name


@pytest.mark.parametrize("entry", ENTRIES)
def test_fields_with_defaults_may_be_added_and_removed(entry: Entry) -> None:
    """Full compatibility: a reader with more or fewer fields that have defaults can read it."""
    ours = declared(entry.name)
    needed = {**ours, "fields": [field for field in ours["fields"] if "default" not in field]}
    full, bare = parsed(ours), parsed(needed)
    restored = fastavro.schemaless_reader(written(bare, least_of(entry.name)), bare, full)
    assert isinstance(restored, dict)
    assert restored.keys() == {field["name"] for field in ours["fields"]}
    read_by_old = fastavro.schemaless_reader(written(full, restored), full, bare)
    assert read_by_old == {field["name"]: restored[field["name"]] for field in needed["fields"]}


def test_every_message_of_the_contract_is_in_the_catalogue() -> None:
    declared = {f"agents.{path.parent.name}.{path.stem}" for path in FILES if path.parent.name != "types"}
    catalogued = {entry.name for entry in CATALOGUE if not entry.name.startswith("agents.types.")}
    assert catalogued == declared


@pytest.mark.parametrize("schema", RECORDS)
def test_every_message_has_its_envelope(schema: Schema) -> None:
    if schema["namespace"] == "agents.types":
        return
    own_id = "command_id" if schema["namespace"] == "agents.commands" else "event_id"
    names = [field["name"] for field in schema["fields"]]
    if schema["name"].endswith("Defined"):
        assert names[:2] == [own_id, "occurred_at"]
        return
    envelope = [own_id, "correlation_id", "causation_id", "occurred_at", "agent", "tenant"]
    assert names[: len(envelope)] == envelope


def test_the_orchestrators_events_and_no_others_carry_a_sequence() -> None:
    by_schema = {
        entry.name
        for entry in CATALOGUE
        if entry.kind == "event"
        and "sequence" in [field["name"] for field in self_contained(entry.name)["fields"]]
        and entry.message.__name__ != "MessageDeadLettered"
    }
    assert by_schema == {entry.name for entry in CATALOGUE if issubclass(entry.message, SessionEvent)}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_model_requires_what_its_schema_requires(entry: Entry) -> None:
    required = {field.name for field in msgspec.structs.fields(entry.message) if field.required}
    without_default = {field["name"] for field in declared(entry.name)["fields"] if "default" not in field}
    assert required == without_default


def test_models_are_generated_from_the_schemas() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/generate_models.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def parsed(schema: Schema) -> Any:
    """The schema with its types inlined and its timestamps as plain numbers."""
    return fastavro.parse_schema(_plain(_inlined(schema, set())))


def written(schema: Any, content: Any) -> BytesIO:
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, content)
    body.seek(0)
    return body


def least_of(avro: Any) -> Any:
    """The smallest value: of a record, the fields without a default."""
    match avro:
        case str() if avro in EMPTY:
            return EMPTY[avro]
        case str():
            return least_of(declared(avro))
        case {"type": "record", "fields": fields}:
            return {field["name"]: least_of(field["type"]) for field in fields if "default" not in field}
        case {"type": "enum"}:
            return "UNKNOWN"
        case {"type": inner}:
            return least_of(inner)
        case _:
            raise AssertionError(f"{avro} needs a default")


EMPTY = {"string": "", "long": 0, "int": 0, "double": 0.0, "boolean": False, "bytes": b""}


def _plain(avro: Any) -> Any:
    if isinstance(avro, list):
        return [_plain(branch) for branch in avro]
    if isinstance(avro, dict):
        return {key: _plain(inner) for key, inner in avro.items() if key != "logicalType"}
    return avro

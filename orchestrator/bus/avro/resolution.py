"""Reading what other versions wrote: the writer's schema comes from the registry, the reader's is ours."""

import io
from functools import cache
from typing import Any, Final

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, to_parsing_canonical_form

from orchestrator.bus.avro.compiler import READ_ERRORS, Model, Read, compiled
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import entry_named
from orchestrator.messages.schemas import self_contained

RESOLUTION_ERRORS: Final = (
    *READ_ERRORS,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    fastavro.read.SchemaResolutionError,
    msgspec.ValidationError,
)
"""What reading malformed bytes, or bytes of a schema that cannot be resolved to ours, may raise."""


def name_of(writer: Any) -> str:
    """Full name of a writer's schema; empty for one that is not a record."""
    if not isinstance(writer, dict) or writer.get("type") != "record":
        return ""
    name, namespace = str(writer.get("name", "")), str(writer.get("namespace", ""))
    return name if "." in name or not namespace else f"{namespace}.{name}"


def reader_of(writer: Any) -> Read:
    """A function that reads bodies of a writer's schema into our model of the same name.

    Raises `ContractError` for a name that is not in the catalogue, and for what is not an Avro schema.
    """
    entry = entry_named(name_of(writer))
    if entry is None:
        raise ContractError(f"{name_of(writer) or 'a schema that is not a record'} is not in the catalogue")
    try:
        if to_parsing_canonical_form(writer) == _canonical(entry.name):
            return compiled(entry.name).read
        parsed = fastavro.parse_schema(plain(writer))
    except (SchemaParseException, KeyError, TypeError, ValueError) as error:
        raise ContractError(f"the registry's schema of {entry.name} cannot be used: {error}") from error
    return _resolving(parsed, fastavro.parse_schema(plain(self_contained(entry.name))), entry.message)


def _resolving(writer: Any, reader: Any, model: type[Model]) -> Read:
    def read(data: bytes, at: int) -> tuple[Model, int]:
        stream = io.BytesIO(data)
        stream.seek(at)
        content = fastavro.schemaless_reader(stream, writer, reader)
        return msgspec.convert(content, model), stream.tell()

    return read


@cache
def _canonical(avro_name: str) -> str:
    return str(to_parsing_canonical_form(self_contained(avro_name)))


def plain(schema: Any) -> Any:
    """A schema without logical types: times stay integers, which costs half of converting them to datetimes."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if isinstance(schema, dict):
        return {key: plain(inner) for key, inner in schema.items() if key != "logicalType"}
    return schema

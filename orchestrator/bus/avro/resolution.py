"""Reading what other versions wrote: the writer's schema comes from the registry, the reader's is ours."""

import io
from functools import cache
from typing import Any, Final

import fastavro
import msgspec
from fastavro.schema import to_parsing_canonical_form

from orchestrator.bus.avro.compiler import Model, Read, compiled
from orchestrator.bus.avro.walk import Walk
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Entry, entry_named
from orchestrator.messages.schemas import self_contained

_SHOWN: Final = frozenset({"timestamp-micros", "timestamp-millis", "date", "uuid"})
"""Logical types that people read more easily. A decimal of a megabyte would take minutes."""


def name_of(writer: Any) -> str:
    """Full name of a writer's schema; empty for one that is not a record."""
    if not isinstance(writer, dict) or writer.get("type") != "record":
        return ""
    name, namespace = str(writer.get("name", "")), str(writer.get("namespace", ""))
    return name if "." in name or not namespace else f"{namespace}.{name}"


def reader_of(writer: Any) -> Read:
    """A function that reads bodies of a writer's schema into our model of the same name. It reads whatever the bytes
    are in bounded time.

    Raises `ContractError` for a name that is not in the catalogue, and for what is not an Avro schema. The function
    raises it for a body that is beyond a bound, other errors for one that does not fit.
    """
    entry = entry_named(name_of(writer))
    if entry is None:
        raise ContractError(f"{name_of(writer) or 'a schema that is not a record'} is not in the catalogue")
    try:
        if to_parsing_canonical_form(writer) == _canonical(entry.name):
            return compiled(entry.name).read
        parsed = fastavro.parse_schema(plain(writer))
        walk = Walk(parsed)
    except Exception as error:  # the schema is somebody else's: fastavro raises what it stumbles over
        raise ContractError(
            f"the registry's schema of {entry.name} cannot be used: {error!r:.200}"
        ) from error
    ours = fastavro.parse_schema(plain(self_contained(entry.name)))
    return _resolving(walk, parsed, ours, entry)


def _resolving(walk: Walk, writer: Any, reader: Any, entry: Entry) -> Read:
    model, write = entry.message, compiled(entry.name).write

    def read(data: bytes, at: int) -> tuple[Model, int]:
        walk.end(data, at)
        stream = io.BytesIO(data)
        stream.seek(at)
        content = fastavro.schemaless_reader(stream, writer, reader)
        found = msgspec.convert(content, model)
        # Our own writer knows which numbers a field may hold.
        write(found, bytearray())
        return found, stream.tell()

    return read


@cache
def _canonical(avro_name: str) -> str:
    return str(to_parsing_canonical_form(self_contained(avro_name)))


def content_of(writer: Any, body: bytes) -> Any:
    """A body as its writer's schema alone says, in dictionaries: to show it to people.

    Raises `ContractError` for a body that is not of the schema, or beyond a bound.
    """
    try:
        parsed = fastavro.parse_schema(plain(writer, _SHOWN))
        if Walk(parsed).end(body, 0) != len(body):
            raise ContractError("the body is longer than its schema says")
        return fastavro.schemaless_reader(io.BytesIO(body), parsed, None)
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(f"the body cannot be read with its writer's schema: {error!r:.200}") from error


def plain(schema: Any, kept: frozenset[str] = frozenset()) -> Any:
    """A schema without logical types but those `kept`: times stay integers, which costs half of converting them to
    datetimes."""
    if isinstance(schema, list):
        return [plain(branch, kept) for branch in schema]
    if isinstance(schema, dict):
        return {
            key: plain(inner, kept)
            for key, inner in schema.items()
            if key != "logicalType" or (isinstance(inner, str) and inner in kept)
        }
    return schema

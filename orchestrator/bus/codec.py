"""Messages to records and back: Avro bodies, Confluent framing, CloudEvents headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec

from orchestrator.bus import headers
from orchestrator.bus.avro.compiler import WRITE_ERRORS, Model, Read, Write, compiled
from orchestrator.bus.avro.resolution import name_of, reader_of
from orchestrator.bus.avro.schema_ids import SchemaIds
from orchestrator.bus.errors import SchemaPending
from orchestrator.bus.ports import Headers, Outgoing, Received
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Command
from orchestrator.messages.catalogue import Topic, avro_name, entry_named, entry_of, key_of
from orchestrator.messages.signatures import UNSIGNED, Signatures
from orchestrator.messages.types import PartitionCheckpoint
from orchestrator.telemetry import context
from orchestrator.telemetry.context import EVERY_SESSION, Sampling

SCHEMA_HEADER: Final = "__value_schema_id"
"""Where Confluent's serializers put the schema's GUID when they do not prefix the body with it."""
_BY_ID: Final = 0
_BY_GUID: Final = 1
_ID_BYTES: Final = 5
_GUID_BYTES: Final = 17
_WAIT_S: Final = 0.1
_THIRD_PARTIES_WRITE: Final = frozenset({Topic.TASKS, Topic.CONTROL})


@dataclass(frozen=True, slots=True)
class _Writer:
    topic: Topic
    name: bytes
    prefix: bytes
    write: Write
    signs: bool
    """Whether its records carry a signature: those of commands to services."""


@dataclass(frozen=True, slots=True)
class _Reader:
    name: str
    header: bytes
    topic: Topic
    read: Read


class Codec:
    """Encodes and decodes with schema ids from one registry. Any thread may call. The first message of a type, or
    of a writer's schema, needs the registry; all others cost no I/O.
    """

    def __init__(
        self, ids: SchemaIds, sampling: Sampling = EVERY_SESSION, signatures: Signatures = UNSIGNED
    ) -> None:
        self._ids = ids
        self._sampling = sampling
        self._signatures = signatures
        self._writers: dict[type[Model], _Writer] = {}
        self._readers: dict[int | UUID, _Reader] = {}
        self._unusable: dict[int | UUID, str] = {}
        """Why a schema of ours that the registry has cannot be read with."""

    def prepare(self, messages: Iterable[type[Model]]) -> None:
        """Looks up the schema ids of the messages that a process will write, so that it fails at its start
        without them.

        Raises `ConfigurationError` that names every missing subject.
        """
        kinds = tuple(messages)
        self._ids.require([entry_of(kind) for kind in kinds])
        for kind in kinds:
            self._writer(kind)

    def encode(self, message: Model, *, source: str, traceparent: str | None = None) -> Outgoing:
        """The record of a message. `source` is its CloudEvents source, such as `/orchestrator/0`;
        `traceparent` names the span that caused it, by default the session's root.

        Raises `ContractError` for a message that does not fit its schema.
        """
        writer = self._writers.get(type(message)) or self._writer(type(message))
        body = bytearray(writer.prefix)
        try:
            writer.write(message, body)
            key = key_of(message)
            trace = traceparent or self._root_context(message)
            heads = headers.headers_of(message, writer.name, source.encode(), trace)
        except WRITE_ERRORS as error:
            raise ContractError(_misfit(message, error)) from error
        if not key:
            raise ContractError(f"a {type(message).__name__} cannot be sent without its correlation id")
        partition = message.partition if isinstance(message, PartitionCheckpoint) else None
        value = bytes(body)
        if writer.signs:
            heads = self._signed(value, heads)
        return Outgoing(writer.topic, key.encode(), value, heads, partition)

    def _signed(self, value: bytes, heads: Headers) -> Headers:
        signature = self._signatures.signature(value)
        return heads if signature is None else (*heads, (headers.SIGNATURE, signature))

    def has_signed(self, received: Received) -> bool:
        """Whether a holder of a key wrote this command, as it is read."""
        # Who names a schema in a header decides what the value means. Ours name it in the value.
        value = received.value if received.header(SCHEMA_HEADER) is None else None
        return self._signatures.has_signed(value, received.header(headers.SIGNATURE))

    def expect(self, topics: Iterable[Topic]) -> None:
        """Looks up the schemas that records of these topics may be written with, as far as the registry has them, so
        that none of them waits for it later. Not for an event loop's thread.

        Raises `UnavailableError` and `ConfigurationError` if the registry does not respond.
        """
        self._ids.look_up(topics)

    def ask(self, batch: Iterable[Received]) -> None:
        """Begins to look up the schemas of these records, so that decoding them waits once and not for each one."""
        for received in batch:
            # No context manager: it would take as long as what is inside.
            try:
                key, _ = _schema_of(received, received.value or b"")
                if key not in self._readers and not received.damage:
                    self._ids.schema(key, received.topic)
            except (ContractError, UnavailableError):
                continue

    def decode(self, received: Received) -> Any:
        """As `decode_now`, and waits while the schema of the record is looked up."""
        while True:
            try:
                return self.decode_now(received)
            except SchemaPending:
                self._ids.wait(_WAIT_S)

    def decode_now(self, received: Received) -> Any:
        """The message that a record holds, whatever its bytes are, in bounded time and memory.

        The name of the body's schema has to equal `ce_type`; on topics that third parties write, a missing
        `ce_type` is taken from the schema. Raises `ContractError` for anything else, and of `UnavailableError`
        only `SchemaPending` while the schema is looked up, and `SchemaUnresolved` if that takes too long.
        """
        body = received.value
        if received.damage:
            raise ContractError(received.damage)
        if body is None:
            raise ContractError("the record has no body")
        key, start = _schema_of(received, body)
        reader = self._readers.get(key) or self._reader(key, received.topic)
        _check_type(received, reader)
        try:
            message, end = reader.read(body, start)
        except Exception as error:  # bytes that do not fit raise what they hit upon
            raise ContractError(f"the body does not fit the schema of {reader.name}: {error}") from error
        if end != len(body):
            what = "is too short" if end > len(body) else f"has {len(body) - end} extra bytes at its end"
            raise ContractError(f"the body does not fit the schema of {reader.name}: it {what}")
        return message

    def writer_schema(self, received: Received) -> tuple[Any, int]:
        """The schema that a record was written with, as parsed JSON and whosever it is, and where in its value the
        body begins: to inspect what `decode` rejects. Raises `ContractError` and `UnavailableError`.
        """
        key, start = _schema_of(received, received.value or b"")
        return self._ids.any_schema(key), start

    @staticmethod
    def type_of(received: Received) -> str | None:
        """Full Avro name of a message, from its header alone."""
        return headers.type_of(received)

    def _root_context(self, message: Model) -> str:
        session = getattr(message, "correlation_id", "")
        return context.traceparent(session, sampling=self._sampling) if session else ""

    def _writer(self, kind: type[Model]) -> _Writer:
        entry = entry_of(kind)
        prefix = bytes([_BY_ID]) + self._ids.id_of(entry).to_bytes(_ID_BYTES - 1, "big")
        name = avro_name(kind)
        signs = issubclass(kind, Command) and entry.topic not in _THIRD_PARTIES_WRITE
        writer = _Writer(entry.topic, name.encode(), prefix, compiled(name).write, signs)
        self._writers[kind] = writer
        return writer

    def _reader(self, key: int | UUID, topic: Topic) -> _Reader:
        if key in self._unusable:
            raise ContractError(self._unusable[key])
        schema = self._ids.schema(key, topic)
        name = name_of(schema)
        entry = entry_named(name)
        if entry is None:
            raise ContractError(
                f"schema {key} is of {name or 'a type other than a record'}, which is not in the catalogue"
            )
        try:
            reader = _Reader(name, name.encode(), entry.topic, reader_of(schema))
        except ContractError as error:
            self._unusable[key] = str(error)
            raise
        self._readers[key] = reader
        return reader


def _schema_of(received: Received, body: bytes) -> tuple[int | UUID, int]:
    """Id or GUID of the writer's schema, and where the body begins."""
    framed = received.header(SCHEMA_HEADER)
    if framed is not None:
        return _schema_key(framed), 0
    key = _schema_key(body)
    return key, _ID_BYTES if isinstance(key, int) else _GUID_BYTES


def _schema_key(framed: bytes) -> int | UUID:
    if len(framed) >= _ID_BYTES and framed[0] == _BY_ID:
        return int.from_bytes(framed[1:_ID_BYTES], "big")
    if len(framed) >= _GUID_BYTES and framed[0] == _BY_GUID:
        return UUID(bytes=framed[1:_GUID_BYTES])
    raise ContractError(
        "the body does not begin with a schema id: write it with the registry's Avro serializer"
    )


def _check_type(received: Received, reader: _Reader) -> None:
    declared = received.header(headers.TYPE)
    if declared is None and received.topic not in _THIRD_PARTIES_WRITE:
        raise ContractError(f"the record has no header {headers.TYPE}")
    if declared is not None and declared != reader.header:
        name = declared.decode("utf-8", "replace")
        raise ContractError(f"the header {headers.TYPE} says {name}, the body's schema is {reader.name}")
    if received.topic is not reader.topic:
        raise ContractError(f"{reader.name} belongs in {reader.topic}, not in {received.topic}")


def _misfit(message: Model, error: Exception) -> str:
    """What does not fit, with its path: found by a slow check that runs only after a failure."""
    kind = type(message)
    try:
        msgspec.convert(msgspec.to_builtins(message, builtin_types=(bytes,)), kind)
    except (msgspec.ValidationError, TypeError, ValueError) as found:
        return f"this {kind.__name__} does not fit its schema: {found}"
    return f"this {kind.__name__} does not fit its schema: {error}"

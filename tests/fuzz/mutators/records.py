"""Records of Kafka: valid messages, and changes of their key, headers, framing, body and writer's schema."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any, Final
from uuid import UUID

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.avro.writer_schemas import parsed
from orchestrator.bus.codec import SCHEMA_HEADER, Codec
from orchestrator.bus.ports import Received
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.messages.schemas import self_contained
from orchestrator.testing.scenario import SESSION
from tests.fuzz.mutators.bodies import BYTES, body_of, change_body, change_bytes
from tests.fuzz.mutators.messages import message_of
from tests.fuzz.mutators.schemas import LONGEST, change_schema

FOREIGN: Final = 1_000
"""The id of the case's own writer's schema."""
OFFSET: Final = 7
STATES: Final = 24
_FRAME: Final = 5
_SHORT: Final = 64
_NAMES: Final = tuple(entry.name for entry in CATALOGUE)
_HEADERS: Final = (
    *("ce_type", "ce_id", "ce_time", "ce_source", "ce_correlationid", "ce_causationid", "traceparent"),
    *(
        "content-type",
        "agents_forwarded",
        "agents_claim",
        SCHEMA_HEADER,
        "",
        "\x1b[31m",
        "x" * 300,
        "\ud800",
        "é",
    ),
)
_LARGE: Final = (b"\xff" * 500_000, b"n" * 990_000)
_MOST_BYTES: Final = 1_048_000
"""Kafka takes no larger record."""


@dataclass(frozen=True)
class Case:
    """A record of partition 0. `schema` is the text that the registry has under the id `FOREIGN`; `state` says which
    of several states the consumer is in."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    schema: str = ""
    state: int = 0

    @property
    def size(self) -> int:
        """Bytes of the record."""
        headers = sum(4 * len(name) + len(value or b"") for name, value in self.headers)
        return headers + len(self.key or b"") + len(self.value or b"")

    @property
    def received(self) -> Received:
        return Received(Topic(self.topic), 0, OFFSET, 1_790_000_000_000, self.key, self.value, self.headers)


class Ids(CatalogueIds):
    """A registry that knows the schema of one case beside our own."""

    def __init__(self) -> None:
        self.text = ""

    def any_schema(self, key: int | UUID) -> Any:
        if key == FOREIGN or isinstance(key, UUID):
            try:
                return parsed(self.text)
            except ContractError as error:
                raise ContractError(f"schema {key} cannot be used: {error}") from error
        return super().any_schema(key)


class CaseCodec(Codec):
    """The codec of a process that has read other records before, and none of the case's schema."""

    def __init__(self) -> None:
        self.ids = Ids()
        super().__init__(self.ids)

    def use(self, case: Case) -> None:
        """From now on the case's schema is what the registry has."""
        self.ids.text = case.schema
        for known in (self._readers, self._unusable):
            for key in [key for key in known if key == FOREIGN or isinstance(key, UUID)]:
                del known[key]


CODEC: Final = CaseCodec()


def record_of(avro_name: str, random: Random, **given: Any) -> Case:
    """A valid record of a message of the catalogue."""
    while True:
        try:
            sent = CODEC.encode(message_of(avro_name, random, **given), source="/fuzz/0")
        except ContractError:
            # Without a key a message cannot be sent.
            continue
        return Case(sent.topic.value, sent.key, sent.value, sent.headers)


def make_record(random: Random, names: tuple[str, ...] = _NAMES, foreign: float = 0.0) -> Case:
    """A valid record of one of these messages; `foreign` is the share of those that another schema wrote."""
    name = random.choice(names)
    case = record_of(name, random)
    if random.random() >= foreign:
        return case
    schema = json.dumps(_schema(_id_of(case)))
    for _ in range(random.choice((0, 1, 1, 2))):
        schema = change_schema(schema, random, json.dumps(self_contained(random.choice(_NAMES))))
    return _written_with(case, schema, random)


def change_record(case: Case, random: Random, other: Case) -> Case:
    """The record with one change, as long as Kafka takes it."""
    changed = _changed(case, random, other)
    return changed if changed.size <= _MOST_BYTES else case


def _changed(case: Case, random: Random, other: Case) -> Case:
    match random.randrange(10):
        case 0 if random.random() < 0.3:
            return replace(case, state=random.randrange(STATES))
        case 0:
            return replace(case, key=_key(case, random, other))
        case 1 | 2:
            return replace(case, headers=_headers(case.headers, random, other.headers))
        case 3 if case.schema:
            return replace(case, schema=change_schema(case.schema, random, other.schema)[:LONGEST])
        case 4 if case.schema:
            return _written_with(case, change_schema(case.schema, random, other.schema), random)
        case 5 if random.random() < 0.3:
            return replace(case, value=_framed(case, random, other))
        case 6 if random.random() < 0.2:
            return replace(case, topic=random.choice(list(Topic)).value)
        case _:
            return replace(case, value=_value(case, random, other))


def _key(case: Case, random: Random, other: Case) -> bytes | None:
    return random.choice((None, b"", case.key, other.key, SESSION.encode(), *BYTES, _large(random)))


def _large(random: Random) -> bytes:
    """Content of some kilobytes, seldom nearly what a record may have."""
    return random.choice(_LARGE) if random.random() < 0.05 else b"v" * 5_000


def _headers(
    headers: tuple[tuple[str, bytes | None], ...], random: Random, other: tuple[tuple[str, bytes | None], ...]
) -> tuple[tuple[str, bytes | None], ...]:
    at = random.randrange(len(headers)) if headers else 0
    match random.randrange(6):
        case 0:
            return headers[:at] + headers[at + 1 :]
        case 1:
            return (*headers, *random.choices(other, k=1)) if other else headers
        case 2:
            return (*headers[:at], (random.choice(_HEADERS), _content(random)), *headers[at:])
        case 3:
            return headers * random.choice((2, 40))
        case _ if headers:
            name, value = headers[at]
            value = change_bytes(value or b"", random, b"") if random.random() < 0.5 else _content(random)
            return (*headers[:at], (name, value), *headers[at + 1 :])
        case _:
            return (("ce_type", random.choice(_NAMES).encode()),)


def _content(random: Random) -> bytes | None:
    guid = b"\1" + bytes(15) + b"\7"
    names = (random.choice(_NAMES).encode(), SESSION.encode(), guid, b"\0\0\0\3\xe8")
    return random.choice((None, *names, *BYTES, _large(random)))


def _value(case: Case, random: Random, other: Case) -> bytes | None:
    value = case.value or b""
    schema = _schema(_id_of(case)) if not case.schema else None
    return value[:_FRAME] + change_body(schema, value[_FRAME:], random, (other.value or b"")[_FRAME:])


def _framed(case: Case, random: Random, other: Case) -> bytes | None:
    """The value with another frame."""
    body = (case.value or b"")[_FRAME:]
    some_id = random.choice((0, 1, FOREIGN, random.randrange(1, len(CATALOGUE) + 3), (1 << 32) - 1))
    return random.choice(
        (
            None,
            b"",
            body,
            other.value,
            b"\0" + some_id.to_bytes(4, "big") + body,
            b"\1" + bytes(15) + b"\7" + body,
            random.choice((b"\2", b"\0\0", b"\1\1", b"\0\0\0\0\x35\0\x0a\x01a")),
        )
    )


def _written_with(case: Case, schema: str, random: Random) -> Case:
    """The record as its writer's schema says; its body may be of any values."""
    body = (case.value or b"")[_FRAME:]
    if random.random() < 0.7:
        with suppress(ValueError, RecursionError):
            body = b"".join(body_of(json.loads(schema), random))[:60_000]
    return replace(case, value=b"\0" + FOREIGN.to_bytes(4, "big") + body, schema=schema)


def _id_of(case: Case) -> int:
    return int.from_bytes((case.value or b"")[1:_FRAME], "big")


@cache
def _schema(number: int) -> Any:
    return self_contained(CATALOGUE[number - 1].name) if 0 < number <= len(CATALOGUE) else None


def dump_record(case: Case) -> bytes:
    """A record as a file of the corpus: bytes are characters of the same numbers, or a byte and how often it comes."""
    document = {
        "topic": case.topic,
        "key": _as_text(case.key),
        "headers": [[name, _as_text(value)] for name, value in case.headers],
        "value": _as_text(case.value),
        "schema": case.schema,
        "state": case.state,
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def load_record(content: bytes) -> Case:
    found = json.loads(content.decode("utf-8", "surrogatepass"))
    return Case(
        found["topic"],
        _as_bytes(found["key"]),
        _as_bytes(found["value"]),
        tuple((name, _as_bytes(value)) for name, value in found["headers"]),
        found["schema"],
        found["state"],
    )


def _as_text(content: bytes | None) -> Any:
    if content is None:
        return None
    if len(content) > _SHORT and content == content[:1] * len(content):
        return [content[:1].decode("latin-1"), len(content)]
    return content.decode("latin-1")


def _as_bytes(text: Any) -> bytes | None:
    if isinstance(text, list):
        return bytes(text[0].encode("latin-1") * text[1])
    return None if text is None else bytes(text.encode("latin-1"))

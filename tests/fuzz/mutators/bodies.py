"""Avro bodies by their schema: where each value is in one, and changes of values that keep or break the rest."""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from orchestrator.bus.avro.primitives import read_long, write_long
from orchestrator.messages.schemas import declared

NUMBERS: Final = (
    *(0, 1, -1, 2, 63, 64, 127, 128, 255, 8191, 8192, 65_535, 1 << 20, (1 << 31) - 1, 1 << 31, -(1 << 31)),
    *((1 << 53) - 1, 1 << 53, 1 << 61, (1 << 62), (1 << 63) - 1, -(1 << 63), 253_402_300_799_999_999),
)
_TOO_LONG: Final = (
    b"\xff" * 9 + b"\x01",
    b"\xff" * 10 + b"\x01",
    b"\x80" * 9 + b"\x02",
    b"\x80",
    b"\xff" * 12,
)
DOUBLES: Final = (0.0, -0.0, 1.0, -1.0, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 5e-324)
BYTES: Final = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\x1b[2J",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc3",
        "é".encode(),
        "\u202e".encode(),
        b"../..",
    ),
    *(
        b"a" * 300,
        b"{",
        b"null",
        b"[" * 70,
        b"00000000-0000-0000-0000-000000000000",
        b'{"a": NaN}',
        b"\xf0\x9f",
    ),
)


@dataclass(frozen=True)
class Span:
    """A value of a body: its kind, and where it is."""

    kind: str
    begin: int
    end: int


def spans(schema: Any, body: bytes, at: int = 0) -> list[Span]:
    """The values of a valid body of one of our schemas, in order; those that can be read of another."""
    found: list[Span] = []
    with suppress(IndexError, ValueError, KeyError, TypeError, RecursionError):
        _read(schema, body, at, found)
    return found


def _read(avro: Any, body: bytes, at: int, found: list[Span]) -> int:
    match avro:
        case list():
            branch, end = read_long(body, at)
            found.append(Span("branch", at, end))
            return _read(avro[branch], body, end, found)
        case {"type": "record", "fields": fields}:
            begin = at
            for field in fields:
                at = _read(field["type"], body, at, found)
            found.append(Span("record", begin, at))
            return at
        case {"type": "array", "items": inner} | {"type": "map", "values": inner}:
            return _blocks(avro, inner, body, at, found)
        case {"type": inner} if inner not in ("enum", "fixed"):
            return _read(inner, body, at, found)
        case "string" | "bytes" | "boolean" | "double" | "long" | "int" | "null":
            return _primitive(avro, body, at, found)
        case str() if "." in avro:
            return _read(declared(avro), body, at, found)
        case _:
            return _primitive("enum", body, at, found)


def _blocks(avro: Any, inner: Any, body: bytes, at: int, found: list[Span]) -> int:
    while True:
        count, end = read_long(body, at)
        found.append(Span("count", at, end))
        at = end
        if count == 0:
            return at
        if count < 0 or count > len(body):
            raise ValueError("not written by us")
        for _ in range(count):
            begin = at
            if avro["type"] == "map":
                at = _primitive("string", body, at, found)
            at = _read(inner, body, at, found)
            found.append(Span("item", begin, at))


def _primitive(kind: str, body: bytes, at: int, found: list[Span]) -> int:
    match kind:
        case "null":
            return at
        case "boolean":
            end = at + 1
        case "double":
            end = at + 8
        case "string" | "bytes":
            length, end = read_long(body, at)
            if length < 0:
                raise ValueError("a length is negative")
            end += length
        case _:
            _, end = read_long(body, at)
    if end > len(body):
        raise ValueError("the body ends early")
    found.append(Span(kind, at, end))
    return end


def change_body(schema: Any, body: bytes, random: Random, other: bytes) -> bytes:
    """The body with one change: mostly one of a value, sometimes one of any bytes."""
    known = spans(schema, body) if schema is not None and random.random() < 0.85 else []
    if not known:
        return change_bytes(body, random, other)
    span = random.choice(known)
    before, value, after = body[: span.begin], body[span.begin : span.end], body[span.end :]
    match span.kind:
        case "string" | "bytes" if random.random() < 0.9:
            value = sized(
                random.choice(BYTES) if random.random() < 0.6 else change_bytes(value[1:], random, other)
            )
        case "record" | "item":
            value = random.choice((b"", value * 2, value[::-1], change_bytes(value, random, other)))
        case "double":
            value = struct.pack("<d", random.choice(DOUBLES))
        case "boolean":
            value = bytes([random.choice((0, 1, 2, 255))])
        case _:
            value = number(random)
    return before + value + after


def number(random: Random) -> bytes:
    """A number, an extreme one, or bytes that are none."""
    if random.random() < 0.1:
        return random.choice(_TOO_LONG)
    found = random.choice(NUMBERS) + random.choice((0, 0, 0, 1, -1))
    return write_long(max(-(1 << 63), min((1 << 63) - 1, found)))


def sized(content: bytes) -> bytes:
    return write_long(len(content)) + content


def change_bytes(content: bytes, random: Random, other: bytes) -> bytes:
    """The bytes with one change that knows nothing of them."""
    change: Callable[[bytes, Random, bytes], bytes] = random.choice(_CHANGES)
    return change(content, random, other)[:_LONGEST]


_LONGEST: Final = 60_000


def _flip(content: bytes, random: Random, _other: bytes) -> bytes:
    if not content:
        return b"\0"
    changed = bytearray(content)
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _byte(content: bytes, random: Random, _other: bytes) -> bytes:
    at = random.randint(0, len(content))
    return content[:at] + bytes([random.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF))]) + content[at + 1 :]


def _drop(content: bytes, random: Random, _other: bytes) -> bytes:
    begin = random.randint(0, len(content))
    return content[:begin] + content[begin + random.choice((1, 2, 8, 100)) :]


def _cut(content: bytes, random: Random, _other: bytes) -> bytes:
    return content[: random.randint(0, len(content))]


def _insert(content: bytes, random: Random, _other: bytes) -> bytes:
    at = random.randint(0, len(content))
    return content[:at] + random.choice((*BYTES, b"\x00" * 100, b"\x02" * 100)) + content[at:]


def _splice(content: bytes, random: Random, other: bytes) -> bytes:
    return content[: random.randint(0, len(content))] + other[random.randint(0, len(other)) :]


_CHANGES: Final = (_flip, _byte, _drop, _cut, _insert, _splice)


def body_of(schema: Any, random: Random, depth: int = 0) -> Iterator[bytes]:
    """Bytes that a schema may stand for, whoever wrote it: to be read by it or to be refused."""
    if depth > 6:
        yield b"\0"
        return
    match schema:
        case list() if schema:
            at = random.randrange(len(schema))
            yield write_long(at)
            yield from body_of(schema[at], random, depth + 1)
        case {"type": "record" | "error", "fields": list(fields)}:
            for field in fields:
                if isinstance(field, dict):
                    yield from body_of(field.get("type"), random, depth + 1)
        case {"type": "array" | "map" as kind, **rest}:
            count = random.choice((0, 0, 1, 1, 2, 3))
            if count:
                yield write_long(count)
            for _ in range(count):
                if kind == "map":
                    yield sized(random.choice(BYTES))
                yield from body_of(rest.get("items", rest.get("values")), random, depth + 1)
            yield b"\0"
        case {"type": "fixed", "size": int(size)}:
            yield bytes(min(max(size, 0), 1_000))
        case {"type": "enum"}:
            yield write_long(random.choice((0, 0, 1, 2, 9, -1)))
        case {"type": inner}:
            yield from body_of(inner, random, depth + 1)
        case "string" | "bytes":
            yield sized(random.choice(BYTES))
        case "boolean":
            yield random.choice((b"\0", b"\1"))
        case "double":
            yield struct.pack("<d", random.choice(DOUBLES))
        case "float":
            yield struct.pack("<f", random.choice((0.0, float("nan"))))
        case "null":
            yield b""
        case _:
            yield number(random)

"""Avro's binary encoding, compiled: from each schema of ours one function that writes and one that reads.

Straight-line Python between a model and its bytes writes three to eight times as fast as fastavro with dicts, and
reads up to twice as fast (`docs/decisions/0009-compiled-codec.md`). fastavro stays the reference that the tests
compare every byte with, and reads what was written with other schemas (`resolution`).
Source of the encoding: Apache Avro 1.12 specification, section "Binary encoding".
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from orchestrator.bus.avro import primitives
from orchestrator.messages.base import Message, Record
from orchestrator.messages.ranges import range_of
from orchestrator.messages.schemas import declared

Model = Message | Record
Write = Callable[[Any, bytearray], None]
"""Appends a model's bytes. A value that does not fit its type raises one of `WRITE_ERRORS`."""
Read = Callable[[bytes, int], tuple[Any, int]]
"""The model that begins at an offset, and the offset behind it. Bytes that do not fit raise one of
`READ_ERRORS`; bytes that end early may show only as an offset behind their end."""

WRITE_ERRORS: Final = (AttributeError, TypeError, ValueError, KeyError, OverflowError, primitives.PackError)
READ_ERRORS: Final = (IndexError, ValueError, primitives.PackError)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The two functions of one record."""

    model: type[Model]
    write: Write
    read: Read


@cache
def compiled(avro_name: str) -> Compiled:
    """The functions of a record. `avro_name` is full, such as `agents.events.PlanCreated`."""
    schema = declared(avro_name)
    model = model_of(avro_name)
    names = _names_in(schema)
    names |= {"MODEL": model, **_default_of(model, schema)}
    source = "\n".join([*_writer(schema, "DEFAULT" in names), *_reader(schema, "DEFAULT" in names)])
    # The source is generated from the schemas in this package, never from anything received.
    exec(compile(source, f"<avro {avro_name}>", "exec"), names)  # noqa: S102
    return Compiled(model, names["write"], names["read"])


@cache
def model_of(avro_name: str) -> Any:
    """The class of a record, or of an enum."""
    namespace, _, name = avro_name.rpartition(".")
    return getattr(importlib.import_module(f"orchestrator.messages.{namespace.rpartition('.')[2]}"), name)


def _names_in(schema: Any) -> dict[str, Any]:
    """The names that the compiled source uses: primitives, enums, and the functions of other records."""
    names: dict[str, Any] = dict(primitives.NAMES)
    for reference in sorted({found for field in schema["fields"] for found in _references(field["type"])}):
        symbol = _symbol(reference)
        if declared(reference)["type"] == "enum":
            members = tuple(model_of(reference)(name) for name in declared(reference)["symbols"])
            names[f"members_{symbol}"] = members
            names[f"codes_{symbol}"] = {member: primitives.SMALL[n] for n, member in enumerate(members)}
        else:
            other = compiled(reference)
            names[f"write_{symbol}"], names[f"read_{symbol}"] = other.write, other.read
    return names


def _references(avro: Any) -> Iterator[str]:
    match avro:
        case list():
            for branch in avro:
                yield from _references(branch)
        case {"items": inner} | {"values": inner}:
            yield from _references(inner)
        case str() if "." in avro:
            yield avro


def _symbol(avro_name: str) -> str:
    return avro_name.replace(".", "_")


def _default_of(model: type[Model], schema: Any) -> dict[str, Any]:
    """For a record whose fields all have defaults, its default instance and that one's bytes.

    Most policies, limits and usages have their defaults: a comparison with these bytes replaces reading them, and
    is exact, since the encoding of a value is never a prefix of another's. Records with maps are left out: a map
    would be shared between messages.
    """
    if not all("default" in field for field in schema["fields"]) or "map" in str(schema):
        return {}
    default = model()
    plain = compile("\n".join(_writer(schema, False)), f"<avro default of {schema['name']}>", "exec")
    names = _names_in(schema)
    exec(plain, names)  # noqa: S102 - as above
    encoded = bytearray()
    names["write"](default, encoded)
    return {"DEFAULT": default, "DEFAULT_BYTES": bytes(encoded), "DEFAULT_LENGTH": len(encoded)}


def _writer(schema: Any, has_default: bool) -> Iterator[str]:
    yield "def write(record, out):"
    if has_default:
        yield "  if record is DEFAULT:"
        yield "    out += DEFAULT_BYTES"
        yield "    return"
    for field in schema["fields"]:
        yield from _indented(_checked(field, f"record.{field['name']}"))
        yield from _indented(_write(field["type"], f"record.{field['name']}", 0))


def _reader(schema: Any, has_default: bool) -> Iterator[str]:
    yield "def read(data, at):"
    if has_default:
        yield "  if data.startswith(DEFAULT_BYTES, at):"
        yield "    return DEFAULT, at + DEFAULT_LENGTH"
    for field in schema["fields"]:
        yield from _indented(_read(field["type"], f"field_{field['name']}", 0))
        yield from _indented(_checked(field, f"field_{field['name']}"))
    arguments = ", ".join(f"{field['name']}=field_{field['name']}" for field in schema["fields"])
    yield f"  return MODEL({arguments}), at"


def _checked(field: Any, value: str) -> Iterator[str]:
    """Lines that refuse a number out of the field's range, wherever it comes from."""
    allowed = range_of(field)
    if allowed is None:
        return
    condition = f"{allowed.lowest!r} <= {value} <= {allowed.highest!r}"
    yield f"if {f'{value} is not None and ' if allowed.optional else ''}not {condition}:"
    yield f"  raise ValueError(f'{field['name']} is {{{value}}}, and {allowed}')"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return ("  " + line for line in lines)


def _write(avro: Any, value: str, depth: int) -> Iterator[str]:
    """Lines that append `value`, an expression. Local names carry the depth of nesting."""
    match avro if isinstance(avro, str | list) else avro["type"]:
        case ["null", branch]:
            yield f"some{depth} = {value}"
            yield f"if some{depth} is None:"
            yield "  out += b'\\x00'"
            yield "else:"
            yield "  out += b'\\x02'"
            yield from _indented(_write(branch, f"some{depth}", depth + 1))
        case "long" | "int" as kind:
            yield f"number = {value}"
            yield f"out += SMALL[number] if 0 <= number < {len(primitives.SMALL)} else {kind}(number)"
        case "string":
            yield f"content = {value}.encode()"
            yield from _write_length("content")
            yield "out += content"
        case "bytes":
            yield f"content = {value}"
            yield from _write_length("content")
            yield "out += content"
        case "boolean":
            yield f"out += BOOLEAN_CODES[{value}]"
        case "double":
            yield f"out += pack_double({value})"
        case "array":
            yield f"items{depth} = {value}"
            yield f"if items{depth}:"
            yield from _indented(_write_length(f"items{depth}"))
            yield f"  for item{depth} in items{depth}:"
            yield from _indented(_indented(_write(avro["items"], f"item{depth}", depth + 1)))
            yield "out += b'\\x00'"
        case "map":
            yield f"items{depth} = {value}"
            yield f"if items{depth}:"
            yield from _indented(_write_length(f"items{depth}"))
            yield f"  for key{depth}, item{depth} in items{depth}.items():"
            yield from _indented(_indented(_write("string", f"key{depth}", depth + 1)))
            yield from _indented(_indented(_write(avro["values"], f"item{depth}", depth + 1)))
            yield "out += b'\\x00'"
        case str() as name if declared(name)["type"] == "enum":
            yield f"out += codes_{_symbol(name)}[{value}]"
        case str() as name:
            yield f"write_{_symbol(name)}({value}, out)"
        case _:
            raise TypeError(f"our schemas do not use {avro}")


def _write_length(sized: str) -> Iterator[str]:
    yield f"number = len({sized})"
    yield f"out += SMALL[number] if number < {len(primitives.SMALL)} else long(number)"


def _read(avro: Any, target: str, depth: int) -> Iterator[str]:
    """Lines that read from `data` at `at` into the name `target` and move `at` on."""
    match avro if isinstance(avro, str | list) else avro["type"]:
        case ["null", branch]:
            yield "branch = data[at]"
            yield "at += 1"
            yield "if branch == 0:"
            yield f"  {target} = None"
            yield "elif branch == 2:"
            yield from _indented(_read(branch, target, depth))
            yield "else:"
            yield "  raise ValueError(f'a union has no branch {branch}')"
        case "long" | "int" as kind:
            yield "number = data[at]"
            yield "at += 1"
            yield "if number > 127:"
            yield f"  {target}, at = read_{kind}(data, at - 1)"
            yield "else:"
            yield f"  {target} = (number >> 1) ^ -(number & 1)"
        case "string":
            yield from _read_length()
            yield "if length:"
            yield "  start = at"
            yield "  at += length"
            yield f"  {target} = data[start:at].decode()"
            yield "else:"
            yield f"  {target} = ''"
        case "bytes":
            yield from _read_length()
            yield "start = at"
            yield "at += length"
            yield f"{target} = data[start:at]"
        case "boolean":
            yield f"{target} = BOOLEANS[data[at]]"
            yield "at += 1"
        case "double":
            yield f"{target}, = unpack_double(data, at)"
            yield "at += 8"
        case "array":
            yield "if data[at]:"
            yield f"  items{depth} = []"
            yield f"  count{depth}, at = read_count(data, at)"
            yield f"  while count{depth}:"
            yield f"    for _ in range(count{depth}):"
            yield from _deeper(3, _read(avro["items"], f"item{depth}", depth + 1))
            yield f"      items{depth}.append(item{depth})"
            yield f"    count{depth}, at = read_count(data, at)"
            yield f"  {target} = tuple(items{depth})"
            yield "else:"
            yield f"  {target} = ()"
            yield "  at += 1"
        case "map":
            yield f"items{depth} = {{}}"
            yield f"count{depth}, at = read_count(data, at)"
            yield f"while count{depth}:"
            yield f"  for _ in range(count{depth}):"
            yield from _deeper(2, _read("string", f"key{depth}", depth + 1))
            yield from _deeper(2, _read(avro["values"], f"items{depth}[key{depth}]", depth + 1))
            yield f"  count{depth}, at = read_count(data, at)"
            yield f"{target} = items{depth}"
        case str() as name if declared(name)["type"] == "enum":
            yield from _read_length()
            yield f"{target} = members_{_symbol(name)}[length]"
        case str() as name:
            yield f"{target}, at = read_{_symbol(name)}(data, at)"
        case _:
            raise TypeError(f"our schemas do not use {avro}")


def _read_length() -> Iterator[str]:
    yield "length = data[at]"
    yield "at += 1"
    yield "if length > 127:"
    yield "  length, at = read_length(data, at - 1)"
    yield "elif length & 1:"
    yield "  raise ValueError('a length is negative')"
    yield "else:"
    yield "  length >>= 1"


def _deeper(levels: int, lines: Iterator[str]) -> Iterator[str]:
    return ("  " * levels + line for line in lines)
